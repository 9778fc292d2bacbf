"""What the README says of the template is what the template says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from samcli.commands.deploy.deploy_context import DeployContext

from dlq_redrive import redrive_request
from dlq_redrive.dead_letter import KINDS
from hub_worker.metrics import UNITS as WORKER_METRICS
from local.item_types.consumers import alarm_resources
from local.item_types.declared import DECLARATION, read_declared
from local.testing.metric_reader import metrics_of_alarm, sent_by
from local.testing.state_machine_reader import states
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
    fleet = {name for name, one in expanded.resources.items() if one.get("Condition") == "WorkersOn"}
    expanded = Expanded({name: one for name, one in expanded.resources.items() if name not in fleet})
    # What a type of record adds is told by the type.
    of_types = set(alarm_resources(read_declared((ROOT / DECLARATION).read_text(encoding="utf-8"))))
    alarms = [one for name, one in expanded.of_type("AWS::CloudWatch::Alarm").items() if name not in of_types]
    told = re.search(r"(\d+) alarms \((\d+) metrics\), (\d+) metrics, (\d+) keys, (\d+) dashboard", README)
    assert told is not None
    counted = {
        "alarms": len(alarms),
        "metrics of alarms": sum(len(list(metrics_of_alarm(alarm))) for alarm in alarms),
        "metrics": len(sent_by(ROOT / "functions")),
        "keys": len(expanded.of_type("AWS::KMS::Key")),
        "dashboards": len(expanded.of_type("AWS::CloudWatch::Dashboard")),
    }
    assert [
        f"the README's costs count {said} {what}, and there are {count}"
        for (what, count), said in zip(counted.items(), told.groups(), strict=True)
        if count != int(said)
    ] == []


def test_what_the_fleet_adds_is_counted_right(expanded: Expanded) -> None:
    alarms = [
        alarm
        for name, alarm in expanded.of_type("AWS::CloudWatch::Alarm").items()
        if expanded.resources[name].get("Condition") == "WorkersOn"
    ]
    metrics = sum(len(metrics_of_alarm(alarm)) for alarm in alarms)
    assert f"{len(alarms)} alarms ({metrics} metrics), 1 dashboard; no instance" in README
    assert f"{len(WORKER_METRICS)} metrics while it works" in README


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


def _machine(name: str) -> dict[str, Any]:
    path = ROOT / "statemachines" / f"{name}.asl.json"
    machine: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return machine


def _diagram(title: str) -> str:
    """The first drawing after a heading."""
    return f"\n{README}".split(f"\n{title}\n", 1)[1].split("```\n", 2)[1]


def _titles(diagram: str) -> list[str]:
    """What is written as names of states are: words with a capital each, two of them at least."""
    found = re.findall(r"[A-Z][\w']*(?: [A-Z][\w']*)+", diagram)
    return [title for title in found if title != "Step Functions"]


DIAGRAMS = {"healthlake_export": "# healthlake-hub", "dlq_redrive": "## Dead letters"}


@pytest.mark.parametrize(("machine", "title"), DIAGRAMS.items())
def test_the_diagram_of_a_workflow_names_its_states_and_no_others(machine: str, title: str) -> None:
    names = {placed.name for placed in states(_machine(machine))}
    shown = _titles(_diagram(title))
    assert shown
    assert [name for name in shown if name not in names] == []


def test_the_diagram_of_the_export_has_the_work_of_a_run_in_its_order() -> None:
    machine = _machine("healthlake_export")
    name, work = machine["StartAt"], []
    while machine["States"][name]["Type"] != "Succeed":
        state = machine["States"][name]
        work += [name] if state["Type"] in ("Task", "Map") else []
        name = state["Choices"][0]["Next"] if state["Type"] == "Choice" else state["Next"]
    assert _titles(_diagram(DIAGRAMS["healthlake_export"])) == work


def test_the_diagram_of_the_redrive_has_everything_that_works_waits_or_ends() -> None:
    diagram = _diagram(DIAGRAMS["dlq_redrive"])
    kinds = ("Task", "Map", "Wait", "Succeed", "Fail")
    placed = [one for one in states(_machine("dlq_redrive")) if one.kind in kinds]
    assert [one.name for one in placed if one.name not in diagram] == []


def test_every_ending_of_a_redrive_stands_in_the_readme_with_its_status() -> None:
    section = README.split("\n## Dead letters\n", 1)[1].split("\n## ", 1)[0]
    told = dict(re.findall(r"^\| \*(.+?)\* \| (succeeded|failed) \|", section, re.MULTILINE))
    statuses = {"Succeed": "succeeded", "Fail": "failed"}
    endings = [one for one in states(_machine("dlq_redrive")) if one.kind in statuses]
    assert told == {one.name: statuses[one.kind] for one in endings}


def test_every_field_of_a_redrives_input_stands_in_the_readme() -> None:
    section = README.split("\n## Dead letters\n", 1)[1].split("\n## ", 1)[0]
    table = section.split("| input | default |", 1)[1].split("\n\n", 1)[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(redrive_request.FIELDS)


def test_the_way_back_of_every_kind_of_dead_letter_stands_in_the_readme() -> None:
    section = README.split("\n## Dead letters\n", 1)[1].split("\n## ", 1)[0]
    table = section.split("| kind | who feeds it |", 1)[1].split("\n\n", 1)[0]
    told = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:]))
    assert sorted(told) == sorted(KINDS)


def test_state_transitions_are_counted_right() -> None:
    machine = _machine("healthlake_export")
    idle, busy = (_transitions(machine, exported=exported) for exported in (False, True))
    child = machine["States"]["Process Export Files"]["ItemProcessor"]
    assert f"a run in which nothing changed | {idle} state transitions" in README
    assert f"never with the number of resources: {busy} and one per byte range" in README
    assert _transitions(child, exported=True) == 1
