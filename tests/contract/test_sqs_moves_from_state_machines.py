"""State machines that move dead letters: on the workbench and in the account, errors under the SDK's names.

Step Functions names an error that SQS's model knows as the SDK for Java does, such as
`Sqs.ResourceNotFoundException`, and any other `Sqs.SqsException`: among them `AccessDenied`, and
`InvalidParameterValue`, which is what most move tasks are refused with. No page lists the names for SQS; they
follow from those of the SDK.
AWS documentation: Step Functions Developer Guide, «Learning to use AWS service SDK integrations», «Handling
errors in Step Functions workflows».
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.lambda_runtime.testing import TRUST
from local.sqs.testing import bodies, create_queue, latest_task, let_die, send
from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Workbench

FAST = Pace(delays=0.001, timeouts=0.5)
SDK = "arn:aws:states:::aws-sdk:sqs:"


def calling(action: str, **parameters: Any) -> dict[str, Any]:
    task = {"Type": "Task", "Resource": SDK + action, "Parameters": parameters, "End": True}
    return {"StartAt": "Call", "States": {"Call": task}}


STARTED_AND_AWAITED = {
    "StartAt": "Start",
    "States": {
        "Start": {
            "Type": "Task",
            "Resource": f"{SDK}startMessageMoveTask",
            "Parameters": {"SourceArn.$": "$.arn", "MaxNumberOfMessagesPerSecond": 50},
            "ResultPath": "$.started",
            "Next": "Look",
        },
        "Look": {
            "Type": "Task",
            "Resource": f"{SDK}listMessageMoveTasks",
            "Parameters": {"SourceArn.$": "$.arn"},
            "ResultPath": "$.listed",
            "Next": "Has It Ended?",
        },
        "Has It Ended?": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.listed.Results[0].Status", "StringEquals": "RUNNING", "Next": "Wait"}
            ],
            "Default": "Look At The Queue",
        },
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Look"},
        "Look At The Queue": {
            "Type": "Task",
            "Resource": f"{SDK}getQueueAttributes",
            "Parameters": {"QueueUrl.$": "$.url", "AttributeNames": ["ApproximateNumberOfMessages"]},
            "ResultPath": "$.queue",
            "Next": "Who Uses It?",
        },
        "Who Uses It?": {
            "Type": "Task",
            "Resource": f"{SDK}listDeadLetterSourceQueues",
            "Parameters": {"QueueUrl.$": "$.url"},
            "ResultPath": "$.sources",
            "End": True,
        },
    },
}


def test_a_workflow_starts_a_task_and_waits_for_its_end() -> None:
    with Workbench(STARTED_AND_AWAITED, {}, {}, pace=FAST) as bench:
        sqs: Any = boto3.client("sqs")
        dead_url, dead_arn = create_queue(sqs, "dead")
        url, _ = create_queue(sqs, "queue", dead_arn)
        send(sqs, url, ["a", "b", "c"])
        let_die(sqs, url)

        bench.moves.pause()
        run = bench.start({"arn": dead_arn, "url": dead_url})
        bench.wait_until(lambda: "Wait" in run.path)
        bench.moves.resume()
        run.wait()

        assert run.status == "SUCCEEDED", run.cause
        (listed,) = run.output["listed"]["Results"]
        assert run.output["started"]["TaskHandle"]
        assert listed["Status"] == "COMPLETED"
        assert latest_task(sqs, dead_arn)["ApproximateNumberOfMessagesMoved"] == 3
        assert run.output["queue"]["Attributes"] == {"ApproximateNumberOfMessages": "0"}
        assert run.output["sources"]["QueueUrls"] == [url]
        assert sorted(bodies(sqs, url)) == ["a", "b", "c"]


def test_moved_messages_reach_the_function_of_their_queue() -> None:
    with Workbench(calling("startMessageMoveTask", **{"SourceArn.$": "$"}), {}, {}, pace=FAST) as bench:
        sqs: Any = boto3.client("sqs")
        _, dead_arn = create_queue(sqs, "dead")
        url, _ = create_queue(sqs, "queue", dead_arn)
        send(sqs, url, ["a"])
        let_die(sqs, url)
        bench.functions["take"] = lambda event, context: None
        bench.connect_queue(url, "take")

        bench.start(json.dumps(dead_arn)).wait()
        bench.wait_until(lambda: bool(bench.calls("take")))

        (record,) = bench.calls("take")[0].event["Records"]
        assert (record["body"], record["attributes"]["ApproximateReceiveCount"]) == ("a", "1")


ARN = "arn:aws:sqs:us-east-1:123456789012:"
URL = "https://sqs.us-east-1.amazonaws.com/123456789012/"
NAMED = {
    "no queue to move from": (
        calling("startMessageMoveTask", SourceArn=f"{ARN}gone"),
        "Sqs.ResourceNotFoundException",
        "SourceArn parameter doesn't exist",
    ),
    "no queue to move to": (
        calling("startMessageMoveTask", SourceArn=f"{ARN}dead", DestinationArn=f"{ARN}gone"),
        "Sqs.ResourceNotFoundException",
        "DestinationArn parameter doesn't exist",
    ),
    "another region": (
        calling(
            "startMessageMoveTask",
            SourceArn=f"{ARN}dead",
            DestinationArn="arn:aws:sqs:eu-west-3:123456789012:q",
        ),
        "Sqs.UnsupportedOperationException",
        "within one account and region",
    ),
    "no dead-letter queue": (
        calling("startMessageMoveTask", SourceArn=f"{ARN}queue"),
        "Sqs.SqsException",
        "must be configured as a Dead Letter Queue",
    ),
    "a task that runs already": (
        calling("startMessageMoveTask", SourceArn=f"{ARN}busy"),
        "Sqs.SqsException",
        "There is already a task running",
    ),
    "no queue to list": (
        calling("listMessageMoveTasks", SourceArn=f"{ARN}gone"),
        "Sqs.ResourceNotFoundException",
        "SourceArn parameter doesn't exist",
    ),
    "nothing to cancel": (
        calling("cancelMessageMoveTask", TaskHandle="foobared"),
        "Sqs.SqsException",
        "TaskHandle is invalid",
    ),
    "no queue to look at": (
        calling("getQueueAttributes", QueueUrl=f"{URL}gone", AttributeNames=["All"]),
        "Sqs.QueueDoesNotExistException",
        "does not exist",
    ),
    "no queue that others use": (
        calling("listDeadLetterSourceQueues", QueueUrl=f"{URL}gone"),
        "Sqs.QueueDoesNotExistException",
        "does not exist",
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_each_error_has_its_name_on_the_workbench(case: str) -> None:
    definition, error, told = NAMED[case]
    with Workbench(definition, {}, {}, pace=FAST) as bench:
        prepare(boto3.client("sqs"))
        bench.moves.pause()
        boto3.client("sqs").start_message_move_task(SourceArn=f"{ARN}busy")
        run = bench.start().wait()
    assert (run.error, told in str(run.cause)) == (error, True), run.cause


def prepare(sqs: Any) -> None:
    """A queue and its dead-letter queue, and a dead-letter queue with two messages."""
    for name, source in (("dead", "queue"), ("busy", "busy-source")):
        _, arn = create_queue(sqs, name)
        url, _ = create_queue(sqs, source, arn)
    send(sqs, url, ["a", "b"])
    let_die(sqs, url)


def test_a_cancelled_task_is_cancelled_by_a_workflow_too() -> None:
    definition = calling("cancelMessageMoveTask", **{"TaskHandle.$": "$"})
    with Workbench(definition, {}, {}, pace=FAST) as bench:
        sqs: Any = boto3.client("sqs")
        prepare(sqs)
        bench.moves.pause()
        handle = sqs.start_message_move_task(SourceArn=f"{ARN}busy")["TaskHandle"]
        run = bench.start(json.dumps(handle)).wait()
        assert run.output == {"ApproximateNumberOfMessagesMoved": 0}
        assert bench.moves.wait(f"{ARN}busy")["Status"] == "CANCELLED"


def test_leaving_the_bench_stops_its_tasks() -> None:
    with Workbench(calling("listQueues"), {}, {}) as bench:
        sqs: Any = boto3.client("sqs")
        prepare(sqs)
        sqs.start_message_move_task(SourceArn=f"{ARN}busy", MaxNumberOfMessagesPerSecond=1)
    bench.moves.join()
    with Workbench(calling("listQueues"), {}, {}):
        prepare(sqs)
        assert sqs.list_message_move_tasks(SourceArn=f"{ARN}busy").get("Results", []) == []


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    parts = ("lambda_runtime", "stepfunctions", "sqs")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        yield account


def ended_in(account: RunningAccount, name: str, definition: Any, given: Any, statements: Any) -> Any:
    """How an execution of a state machine ends whose role has the statements."""
    iam, states = client(account, "iam"), client(account, "stepfunctions")
    trust = json.dumps(TRUST).replace("lambda.amazonaws.com", "states.amazonaws.com")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
    machine = states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=role)
    execution = states.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(given))
    while (told := states.describe_execution(executionArn=execution["executionArn"]))["status"] == "RUNNING":
        pass
    return told


def allow(resource: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def test_a_deployed_workflow_moves_messages_with_the_rights_of_its_role(account: RunningAccount) -> None:
    sqs = client(account, "sqs")
    dead_url, dead_arn = create_queue(sqs, "dead")
    url, arn = create_queue(sqs, "queue", dead_arn)
    send(sqs, url, ["a", "b", "c"])
    let_die(sqs, url)
    of_sqs = ("Start", "List")
    on_dead = allow(
        dead_arn,
        *(f"sqs:{verb}MessageMoveTask{'s' if verb == 'List' else ''}" for verb in of_sqs),
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ListDeadLetterSourceQueues",
    )

    given = {"arn": dead_arn, "url": dead_url}
    told = ended_in(account, "may", STARTED_AND_AWAITED, given, [on_dead, allow(arn, "sqs:SendMessage")])

    assert told["status"] == "SUCCEEDED", told.get("cause")
    output = json.loads(told["output"])
    assert latest_task(sqs, dead_arn)["ApproximateNumberOfMessagesMoved"] == 3
    assert output["sources"]["QueueUrls"] == [url]
    assert sorted(bodies(sqs, url)) == ["a", "b", "c"]


def test_a_deployed_workflow_without_the_right_is_told_so(account: RunningAccount) -> None:
    _, dead_arn = create_queue(client(account, "sqs"), "denied-dead")
    create_queue(client(account, "sqs"), "denied-queue", dead_arn)
    definition = calling("startMessageMoveTask", SourceArn=dead_arn)

    told = ended_in(account, "may-not", definition, {}, [allow(dead_arn, "sqs:ReceiveMessage")])

    assert (told["status"], told["error"]) == ("FAILED", "Sqs.SqsException")
    assert "not authorized to perform: sqs:StartMessageMoveTask" in told["cause"]


def test_a_deployed_workflow_sees_that_a_queue_is_gone(account: RunningAccount) -> None:
    gone = f"arn:aws:sqs:{account.region}:000000000000:gone"
    definition = calling("startMessageMoveTask", SourceArn=gone)

    told = ended_in(account, "late", definition, {}, [allow("*", "sqs:*")])

    assert (told["status"], told["error"]) == ("FAILED", "Sqs.ResourceNotFoundException")
