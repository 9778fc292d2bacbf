"""The fleet: from zero and back by its alarms, closed to everybody, and instances that install what was
published."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hub_worker.jobs import JOBS
from local.cloudwatch.alarm_evaluation import Window, data_points, rule_of
from local.cloudwatch.alarm_states import state_of
from local.cloudwatch.metric_math import Value
from local.testing.template_reader import Expanded, references, text

ROLE = "WorkerRole"
PARTS = ("Layer", "LogGroup", "Role", "InstanceProfile", "SecurityGroup", "LaunchTemplate", "Group")
WORKS_WITH: Mapping[str, str] = {
    "sqs:ReceiveMessage": "${JobsQueue.Arn}",
    "sqs:ChangeMessageVisibility": "${JobsQueue.Arn}",
    "sqs:DeleteMessage": "${JobsQueue.Arn}",
    "dynamodb:GetItem": "${JobsTable.Arn}",
    "dynamodb:PutItem": "${JobsTable.Arn}",
    "dynamodb:UpdateItem": "${JobsTable.Arn}",
    "s3:GetObjectVersion": "${UploadsBucket.Arn}/uploads/*",
    "s3:ListBucket": "${UploadsBucket.Arn}",
    "kms:Decrypt": "${HubKey.Arn}",
    "kms:GenerateDataKey": "${HubKey.Arn}",
}
"""What the worker program calls, by «Actions, resources, and condition keys» of each service."""


def launch_data(expanded: Expanded) -> Mapping[str, Any]:
    data: Mapping[str, Any] = expanded.properties("WorkerLaunchTemplate")["LaunchTemplateData"]
    return data


def test_a_worker_may_work_on_jobs_and_do_nothing_else_to_them(expanded: Expanded) -> None:
    for action, resource in WORKS_WITH.items():
        assert expanded.resources_for(ROLE, action) == {resource}, action
    assert expanded.resources_for(ROLE, "s3:GetObject") == {
        "${UploadsBucket.Arn}/uploads/*",
        "${HubBucket.Arn}/transitions/attributes/*",
    }


def test_an_instance_may_fetch_its_program(expanded: Expanded) -> None:
    layers = expanded.resources_for(ROLE, "lambda:GetLayerVersion")
    assert [one.startswith("${WorkerLayer") for one in layers] == [True]


def test_the_agent_may_send_the_log_to_its_group_alone(expanded: Expanded) -> None:
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        assert expanded.resources_for(ROLE, action) == {"${WorkerLogGroup.Arn}"}, action


def test_there_is_nothing_of_the_fleet_unless_it_is_asked_for(template: dict[str, Any]) -> None:
    assert template["Parameters"]["Workers"]["Default"] == "off"
    unconditional = [
        name
        for name, one in template["Resources"].items()
        if (re.match(r"Workers?[A-Z]", name) or one["Type"].startswith(("AWS::EC2", "AWS::AutoScaling")))
        and one.get("Condition") != "WorkersOn"
    ]
    assert unconditional == []
    assert {f"Worker{part}" for part in PARTS} <= template["Resources"].keys()


def test_no_function_has_the_workers_layer(expanded: Expanded) -> None:
    for name, function in expanded.of_type("AWS::Lambda::Function").items():
        assert not [one for one in references(function.get("Layers", [])) if one.startswith("Worker")], name


def test_an_instance_takes_no_connections_and_tells_its_metadata_to_itself_alone(expanded: Expanded) -> None:
    group, data = expanded.properties("WorkerSecurityGroup"), launch_data(expanded)
    assert "SecurityGroupIngress" not in group
    assert {(one["FromPort"], one["ToPort"]) for one in group["SecurityGroupEgress"]} == {(443, 443)}
    assert "KeyName" not in data
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }


def test_the_disk_of_an_instance_is_encrypted_and_goes_with_it(expanded: Expanded) -> None:
    (disk,) = launch_data(expanded)["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] is True
    assert disk["Ebs"]["DeleteOnTermination"] is True


def test_an_instance_that_shuts_down_is_terminated(expanded: Expanded) -> None:
    assert launch_data(expanded)["InstanceInitiatedShutdownBehavior"] == "terminate"


def test_the_fleet_is_all_spot_of_several_types_and_can_be_none(expanded: Expanded) -> None:
    group = expanded.properties("WorkerGroup")
    spread = group["MixedInstancesPolicy"]["InstancesDistribution"]
    assert (group["MinSize"], text(group["MaxSize"])) == ("0", "${MaxWorkers}")
    assert group["CapacityRebalance"] is True
    assert "DesiredCapacity" not in group
    assert spread == {
        "OnDemandBaseCapacity": 0,
        "OnDemandPercentageAboveBaseCapacity": 0,
        "SpotAllocationStrategy": "price-capacity-optimized",
    }
    _, arm, intel = group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]["Fn::If"]
    assert all(re.match(r"[a-z]+[0-9]g\.", one["InstanceType"]) for one in arm)
    assert not any(re.match(r"[a-z]+[0-9]g\.", one["InstanceType"]) for one in intel)
    assert min(len(arm), len(intel)) >= 5


def test_no_worker_is_charged_for_processor_credits(expanded: Expanded) -> None:
    """Types T3 and later start in unlimited mode, on spot capacity too («Unlimited mode concepts»)."""
    group = expanded.properties("WorkerGroup")
    _, arm, intel = group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]["Fn::If"]
    assert [one["InstanceType"] for one in (*arm, *intel) if one["InstanceType"].startswith("t")] == []


def test_a_worker_has_time_to_drain_within_every_notice(root: Path, expanded: Expanded) -> None:
    unit = (root / "workers/instance/hub-worker.service").read_text()
    (hook,) = expanded.properties("WorkerGroup")["LifecycleHookSpecificationList"]
    stop = int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0])
    drain_and_look = 90 + 20
    assert drain_and_look <= stop <= hook["HeartbeatTimeout"] == 120


def test_every_rule_for_the_queue_has_its_job_and_no_job_is_without_a_rule(root: Path) -> None:
    rules = json.loads((root / "functions/transitions/rules.json").read_text())["rules"]
    assert {rule["name"] for rule in rules if "queue" in rule["output"]} == JOBS.keys()


def test_every_runtime_and_architecture_has_its_wheels_named(root: Path) -> None:
    parquet, workers = (
        {path.name: (path / "pip-options").read_text() for path in (root / folder / "wheels").iterdir()}
        for folder in ("layers/parquet", "workers")
    )
    assert workers == parquet


# --- alarms -----------------------------------------------------------------------------------------


def value_of_expression(
    expanded: Expanded, alarm_name: str, most: int = 4, each: int = 20, **values: Value
) -> tuple[str, Value]:
    """State and value of an alarm when its metrics have had these values for long. None is no value."""
    alarm = json.loads(
        json.dumps(_written(expanded.properties(alarm_name), {"MaxWorkers": most, "MessagesPerWorker": each}))
    )
    metrics = {
        one["MetricStat"]["Metric"]["MetricName"]: values[one["Id"]]
        for one in alarm["Metrics"]
        if "MetricStat" in one
    }

    def value_of(metric: Mapping[str, Any], _stat: str, _unit: str | None, _window: Window) -> Value:
        return metrics[metric["MetricName"]]

    points = data_points(alarm, 1_000_000.0, value_of)
    return state_of(rule_of(alarm), points, "OK"), points[-1]


def _written(value: Any, parameters: Mapping[str, int]) -> Any:
    """A part of the template with parameters put in."""
    match value:
        case {"Fn::Sub": str() as written}:
            return re.sub(r"\$\{(\w+)\}", lambda one: str(parameters[one[1]]), written)
        case {"Ref": name} | {"Fn::GetAtt": [name, *_]}:
            return name
        case dict():
            return {key: _written(inner, parameters) for key, inner in value.items() if key != "AlarmName"}
        case list():
            return [_written(inner, parameters) for inner in value]
    return value


def added(expanded: Expanded, value: float) -> int:
    """How many workers the policy adds when the backlog alarm goes off with this value."""
    above = value - expanded.properties("WorkerBacklogAlarm")["Threshold"]
    (adjustment,) = [
        step["ScalingAdjustment"]
        for step in expanded.properties("WorkerScaleOutPolicy")["StepAdjustments"]
        if step["MetricIntervalLowerBound"] <= above < step.get("MetricIntervalUpperBound", float("inf"))
    ]
    return int(adjustment)


@pytest.mark.parametrize("nobody", [0.0, None], ids=["a count of zero", "no count"])
@pytest.mark.parametrize(("visible", "workers"), [(1.0, 1), (20.0, 1), (21.0, 2), (100.0, 5), (1000.0, 10)])
def test_the_first_job_starts_a_worker_and_many_start_more(
    expanded: Expanded, nobody: Value, visible: float, workers: int
) -> None:
    state, value = value_of_expression(expanded, "WorkerBacklogAlarm", visible=visible, workers=nobody)
    assert state == "ALARM"
    assert value is not None
    assert added(expanded, value) == workers


@pytest.mark.parametrize(
    ("visible", "workers", "state"),
    [
        (0.0, 0.0, "OK"),
        (0.0, None, "OK"),
        (39.0, 2.0, "OK"),
        (40.0, 2.0, "ALARM"),
        (None, 2.0, "OK"),
        (None, None, "OK"),
    ],
)
def test_the_fleet_grows_with_the_jobs_before_each_worker(
    expanded: Expanded, visible: Value, workers: Value, state: str
) -> None:
    assert value_of_expression(expanded, "WorkerBacklogAlarm", visible=visible, workers=workers)[0] == state


@pytest.mark.parametrize(
    ("visible", "working", "state"),
    [(0.0, 0.0, "ALARM"), (0.0, 1.0, "OK"), (1.0, 0.0, "OK"), (None, 0.0, "OK"), (None, None, "OK")],
)
def test_the_fleet_ends_when_nothing_waits_and_nothing_is_worked_on(
    expanded: Expanded, visible: Value, working: Value, state: str
) -> None:
    assert value_of_expression(expanded, "WorkersIdleAlarm", visible=visible, working=working)[0] == state
    alarm, policy = expanded.properties("WorkersIdleAlarm"), expanded.properties("WorkerScaleInPolicy")
    assert alarm["EvaluationPeriods"] == 10
    assert (policy["AdjustmentType"], policy["StepAdjustments"]) == (
        "ExactCapacity",
        [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": 0}],
    )


@pytest.mark.parametrize(
    ("visible", "workers", "state"),
    [(81.0, 4.0, "ALARM"), (80.0, 4.0, "OK"), (1000.0, 3.0, "OK"), (1000.0, None, "OK")],
)
def test_a_fleet_that_may_not_grow_says_so_when_it_should(
    expanded: Expanded, visible: Value, workers: Value, state: str
) -> None:
    found = value_of_expression(expanded, "WorkersAtMaximumAlarm", visible=visible, workers=workers)[0]
    assert found == state


# --- what an instance does when it starts ------------------------------------------------------------


STUBS: Mapping[str, str] = {
    "dnf": 'echo "dnf $*" >> "$CALLS"',
    "useradd": 'echo "useradd $*" >> "$CALLS"',
    "chown": ":",
    "systemctl": 'echo "systemctl $*" >> "$CALLS"',
    "aws": 'echo "aws $*" >> "$CALLS"; printf "%s\\t%s\\n" "https://layers.example.com/worker" "$DIGEST"',
    "curl": 'while [ $# -gt 1 ]; do [ "$1" = --output ] && cp "$LAYER" "$2"; shift; done',
    "sleep": 'echo "sleep $*" >> "$CALLS"',
    "poweroff": 'echo poweroff >> "$CALLS"',
    "python3.13": 'exec python3 "$@"',
}


def start_an_instance(root: Path, folder: Path, expanded: Expanded, digest: str | None = None) -> list[str]:
    """Run the user data with `folder` in the place of / and programs that only note their calls; returns
    these."""
    programs = folder / "programs"
    agent = folder / "opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
    for place in (
        programs,
        agent.parent,
        *(folder / one for one in ("etc/logrotate.d", "etc/systemd/system", "tmp")),
    ):
        place.mkdir(parents=True)
    for path, body in {**{programs / name: body for name, body in STUBS.items()}, agent: ":"}.items():
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    layer = folder / "layer.zip"
    with zipfile.ZipFile(layer, "w") as packed:
        for path in sorted((root / "workers/instance").iterdir()):
            packed.write(path, f"instance/{path.name}")
        packed.writestr("python/hub_worker/__init__.py", "")
    calls = folder / "calls"
    calls.touch()
    published = base64.b64encode(hashlib.sha256(layer.read_bytes()).digest()).decode()
    subprocess.run(
        ["bash", "-c", user_data(expanded, folder)],
        env={
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "FOLDER": str(folder),
            "CALLS": str(calls),
            "LAYER": str(layer),
            "DIGEST": digest or published,
        },
        capture_output=True,
        check=digest is None,
        timeout=30,
    )
    return calls.read_text().splitlines()


def user_data(expanded: Expanded, folder: Path) -> str:
    written = launch_data(expanded)["UserData"]["Fn::Base64"]["Fn::Sub"]
    values = {"PythonRuntime": "python3.13", "AWS::Region": "us-east-1", "WorkerLogGroup": "/hub/workers"}
    script = re.sub(r"\$\{([\w:]+)\}", lambda one: values.get(one[1], f"the-{one[1]}"), written)
    return re.sub(r"(?<=[ =])/(?=(?:etc|opt|tmp)/)", f"{folder}/", script)


def test_an_instance_installs_the_program_that_was_published_and_starts_it(
    root: Path, tmp_path: Path, expanded: Expanded
) -> None:
    calls = start_an_instance(root, tmp_path, expanded)

    assert calls[-1] == "systemctl enable --now hub-worker.service"
    assert "poweroff" not in calls
    assert (tmp_path / "etc/systemd/system/hub-worker.service").read_text().startswith("# The worker")
    assert "JOBS_QUEUE_URL=the-JobsQueue\n" in (tmp_path / "etc/hub-worker.env").read_text()
    agent = (tmp_path / "opt/aws/amazon-cloudwatch-agent/etc/hub-worker.json").read_text()
    files = json.loads(agent)["logs"]["logs_collected"]["files"]["collect_list"]
    assert {one["log_group_name"] for one in files} == {"/hub/workers"}


def test_an_instance_installs_nothing_else_and_powers_off(
    root: Path, tmp_path: Path, expanded: Expanded
) -> None:
    calls = start_an_instance(root, tmp_path, expanded, digest="c29tZXRoaW5nIGVsc2U=")

    assert calls[-2:] == ["sleep 300", "poweroff"]
    assert not (tmp_path / "opt/hub-worker").exists()
