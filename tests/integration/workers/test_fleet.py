"""The fleet's resources as a stack in the local account: they can be made, and its alarms hear the queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.cloudwatch.testing import evaluate_alarms
from local.testing.partial_stack import ARTIFACTS, ROOT, part_of
from local.testing.template_reader import read

STACK = "hub"
AROUND = {
    "HubKey",
    "JobsTable",
    "JobsQueue",
    "JobsDeadLetterQueue",
    "AlarmTopic",
    "HubBucket",
    "UploadsBucket",
}


@dataclass(frozen=True)
class Fleet:
    account: RunningAccount
    queue_url: str
    group: str

    def states(self, after_seconds: float = 0) -> dict[str, str]:
        """States of the stack's alarms by name without the stack's."""
        states = evaluate_alarms(self.account, after_seconds)
        return {name.removeprefix(f"{STACK}-"): state for name, state in states.items()}

    def put_workers(self, count: int) -> None:
        """What Auto Scaling would report of the group for the last minutes."""
        dimensions = [{"Name": "AutoScalingGroupName", "Value": self.group}]
        client(self.account, "cloudwatch").put_metric_data(
            Namespace="AWS/AutoScaling",
            MetricData=[
                {
                    "MetricName": "GroupInServiceInstances",
                    "Dimensions": dimensions,
                    "Timestamp": datetime.now(UTC) - timedelta(seconds=ago),
                    "Value": count,
                }
                for ago in (0, 1)
            ],
        )


def fleet_template() -> dict[str, Any]:
    """The section of the template, with a layer that is there already in the place of one to build."""
    template = read(ROOT / "template.yaml")
    fleet = {name for name, one in template["Resources"].items() if one.get("Condition") == "WorkersOn"}
    part = part_of(template, fleet | AROUND)
    part["Resources"]["WorkerLayer"]["Properties"]["ContentUri"] = {"Bucket": ARTIFACTS, "Key": "layer.zip"}
    part["Resources"]["UploadsBucket"]["Properties"].pop("NotificationConfiguration", None)
    part["Resources"]["UploadsBucket"].pop("DependsOn", None)
    return part


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("fleet")
    with running_account(folder, auth=False, parts=("cloudwatch",)) as account:
        s3, ec2 = client(account, "s3"), client(account, "ec2")
        s3.create_bucket(Bucket=ARTIFACTS)
        s3.put_object(Bucket=ARTIFACTS, Key="layer.zip", Body=b"PK\x05\x06" + bytes(18))
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        given = {"Workers": "on", "WorkerVpcId": vpc, "WorkerSubnetIds": subnet}
        clouds = client(account, "cloudformation")
        clouds.create_stack(
            StackName=STACK,
            TemplateBody=json.dumps(fleet_template()),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        waited = {"Delay": 1, "MaxAttempts": 30}
        clouds.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig=waited)
        listed = clouds.describe_stack_resources(StackName=STACK)["StackResources"]
        ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}
        yield Fleet(account, ids["JobsQueue"], ids["WorkerGroup"])


def test_the_first_job_sets_the_fleet_off_and_its_end_sends_it_home(fleet: Fleet) -> None:
    sqs = client(fleet.account, "sqs")
    assert fleet.states()["worker-backlog"] == "OK"

    sqs.send_message(
        QueueUrl=fleet.queue_url, MessageBody="{}", MessageGroupId="g", MessageDeduplicationId="1"
    )
    waiting = fleet.states()
    assert (waiting["worker-backlog"], waiting["workers-idle"]) == ("ALARM", "OK")

    fleet.put_workers(1)
    assert fleet.states()["worker-backlog"] == "OK"

    sqs.purge_queue(QueueUrl=fleet.queue_url)
    assert fleet.states()["workers-idle"] == "OK"


def test_what_scales_calls_the_policies_of_the_group(fleet: Fleet) -> None:
    alarms = client(fleet.account, "cloudwatch").describe_alarms()["MetricAlarms"]
    policies = client(fleet.account, "autoscaling").describe_policies(AutoScalingGroupName=fleet.group)
    arns = {one["PolicyARN"] for one in policies["ScalingPolicies"]}
    actions = {one["AlarmName"]: set(one["AlarmActions"]) for one in alarms}
    assert actions["hub-worker-backlog"] | actions["hub-workers-idle"] == arns
    assert len(arns) == 2
