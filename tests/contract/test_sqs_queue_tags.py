"""Tags of queues in the local account and in the workbench: those that were given, and none of AWS's own.

CloudFormation tags what it creates with the stack's name and id; SQS takes no tags that begin with `aws:`
(aws-cloudformation/cloudformation-coverage-roadmap, «Generated stack-level tags not copied to SNS or SQS
resources»), so that nobody finds the queues of a stack by them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.stepfunctions.workbench import Workbench
from local.testing.patience import PATIENCE_SECONDS

NOTHING = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
QUEUE = {
    "Type": "AWS::SQS::Queue",
    "Properties": {"Tags": [{"Key": "redrive-kind", "Value": "sqs"}]},
}

Clients = Callable[[str], Any]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("sqs",)) as account:
        yield account


@pytest.fixture(params=["account", "workbench"])
def clients(request: pytest.FixtureRequest) -> Iterator[Clients]:
    if request.param == "account":
        account = request.getfixturevalue("account")
        yield lambda service: client(account, service)
    else:
        with Workbench(NOTHING, {}, {}):
            of_moto: Any = boto3.client
            yield of_moto


def url_of_deployed_queue(cloudformation: Any, stack: str) -> str:
    """The queue of a stack that has nothing else."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"] != "CREATE_COMPLETE":
        assert time.monotonic() < deadline, "the stack is not created"
    (resource,) = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    url: str = resource["PhysicalResourceId"]
    return url


def test_a_deployed_queue_has_the_templates_tags_and_none_of_cloudformations(clients: Clients) -> None:
    cloudformation = clients("cloudformation")
    template = {"Resources": {"Queue": QUEUE}}
    cloudformation.create_stack(StackName="tagged", TemplateBody=json.dumps(template))

    url = url_of_deployed_queue(cloudformation, "tagged")

    assert clients("sqs").list_queue_tags(QueueUrl=url)["Tags"] == {"redrive-kind": "sqs"}
