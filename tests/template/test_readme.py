"""What the README says of the template is what the template says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from samcli.commands.deploy.deploy_context import DeployContext

from local.testing.metric_reader import metrics_of_alarm, sent_by
from local.testing.template_reader import Expanded

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\| (.+) \|$", re.MULTILINE)


def parameters_told() -> dict[str, str]:
    section = README.split("### Parameters", 1)[1].split("\n## ", 1)[0]
    return {name: default for name, default, _ in ROW.findall(section)}


def test_every_parameter_stands_in_the_readme_with_its_default(template: dict[str, Any]) -> None:
    declared = {name: str(one.get("Default", "")) for name, one in template["Parameters"].items()}
    assert parameters_told() == declared


def test_the_schedule_is_turned_on_by_name() -> None:
    """SAM leaves a parameter as it is that a deployment does not name."""
    (unnamed,) = DeployContext.merge_parameters({"Parameters": {"ScheduleState": {}}}, {})
    assert unnamed == {"ParameterKey": "ScheduleState", "UsePreviousValue": True}
    deployments = re.findall(r"sam deploy .*", README)
    assert "ScheduleState=DISABLED" in deployments[0]
    assert "ScheduleState=ENABLED" in deployments[1]


def test_what_is_paid_for_by_the_month_is_counted_right(expanded: Expanded) -> None:
    alarms = expanded.of_type("AWS::CloudWatch::Alarm").values()
    told = re.search(r"(\d+) alarms \((\d+) metrics\), (\d+) metrics, (\d+) keys, (\d+) dashboard", README)
    assert told is not None
    assert [int(count) for count in told.groups()] == [
        len(alarms),
        sum(len(list(metrics_of_alarm(alarm))) for alarm in alarms),
        len(sent_by(ROOT / "functions")),
        len(expanded.of_type("AWS::KMS::Key")),
        len(expanded.of_type("AWS::CloudWatch::Dashboard")),
    ]


def _transitions(machine: dict[str, Any], *, exported: bool) -> int:
    """States that a run enters in which nothing fails and nobody else runs."""
    name, entered = machine["StartAt"], 1
    while "End" not in machine["States"][name] and machine["States"][name]["Type"] != "Succeed":
        state = machine["States"][name]
        if state["Type"] == "Choice":
            name = state["Choices"][0]["Next"] if exported else state["Default"]
        else:
            name = state["Next"]
        entered += 1
    return entered


def test_state_transitions_are_counted_right() -> None:
    text = (ROOT / "statemachines" / "healthlake_export.asl.json").read_text(encoding="utf-8")
    machine = json.loads(text)
    idle, busy = (_transitions(machine, exported=exported) for exported in (False, True))
    child = machine["States"]["Process Export Files"]["ItemProcessor"]
    assert f"a run in which nothing changed | {idle} state transitions" in README
    assert f"never with the number of resources: {busy} and one per byte range" in README
    assert _transitions(child, exported=True) == 1
