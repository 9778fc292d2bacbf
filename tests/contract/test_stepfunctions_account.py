"""The engine inside the local account: state machines of its store, roles enforced, events on its bus."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.account import lifecycle
from local.account.settings import AccountSettings
from local.stepfunctions.registration import REQUIRED_NAMES
from local.testing.patience import PATIENCE_SECONDS

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Clients of an account that enforces policies and has nothing but this engine joined to ministack."""
    state_dir: Path = tmp_path_factory.mktemp("account")
    port = lifecycle.free_port(0)
    settings = AccountSettings(port=port, state_dir=state_dir, auth=True, parts=("stepfunctions",))
    account = lifecycle.start(settings)
    session: Any = boto3.session.Session(
        aws_access_key_id=account.access_key_id,
        aws_secret_access_key=account.secret_access_key,
        region_name=account.region,
    )
    try:
        yield lambda service: session.client(service, endpoint_url=f"http://127.0.0.1:{account.port}")
    finally:
        lifecycle.stop(state_dir)


def role(client: Client, name: str, *actions: str) -> str:
    iam = client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    if actions:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    return str(arn)


def create(client: Client, name: str, role_arn: str, states: dict[str, Any]) -> str:
    definition = json.dumps({"StartAt": next(iter(states)), "States": states})
    answer = client("stepfunctions").create_state_machine(name=name, definition=definition, roleArn=role_arn)
    return str(answer["stateMachineArn"])


def run(client: Client, machine: str, document: Any = None) -> dict[str, Any]:
    states = client("stepfunctions")
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(document or {}))["executionArn"]
    return finished(states, arn)


def finished(states: Any, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        described: dict[str, Any] = states.describe_execution(executionArn=arn)
        if described["status"] != "RUNNING":
            return described
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sending(queue_url: str) -> dict[str, Any]:
    parameters = {"QueueUrl": queue_url, "MessageBody": {"from": "a task"}}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": parameters,
        "End": True,
    }


def each(inner: dict[str, Any]) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Inner",
        "States": {"Inner": inner},
    }
    return {"Type": "Map", "Label": "Each", "ItemsPath": "$.items", "ItemProcessor": processor, "End": True}


@pytest.fixture(scope="module")
def queue_url(client: Client) -> str:
    return str(client("sqs").create_queue(QueueName="q")["QueueUrl"])


def test_every_private_name_that_is_used_is_listed() -> None:
    assert "_start_execution" in REQUIRED_NAMES["ministack.services.stepfunctions"]


def test_a_task_with_the_permission_of_its_role_succeeds(client: Client, queue_url: str) -> None:
    machine = create(
        client, "allowed", role(client, "allowed", "sqs:SendMessage"), {"Send": sending(queue_url)}
    )
    assert run(client, machine)["status"] == "SUCCEEDED"


def test_a_task_without_the_permission_is_refused_under_awss_name(client: Client, queue_url: str) -> None:
    machine = create(client, "refused", role(client, "refused"), {"Send": sending(queue_url)})
    described = run(client, machine)
    assert (described["status"], described["error"]) == ("FAILED", "SQS.AmazonSQSException")
    assert "not authorized to perform: sqs:SendMessage" in described["cause"]


def test_map_children_have_the_permissions_of_the_role_and_no_more(client: Client, queue_url: str) -> None:
    states = client("stepfunctions")
    machine = create(client, "refused-map", role(client, "refused-map"), {"Each": each(sending(queue_url))})
    described = run(client, machine, {"items": [1]})
    assert described["error"] == "States.ExceedToleratedFailureThreshold"
    (map_run,) = states.list_map_runs(executionArn=described["executionArn"])["mapRuns"]
    (child,) = states.list_executions(mapRunArn=map_run["mapRunArn"])["executions"]
    assert states.describe_execution(executionArn=child["executionArn"])["error"] == "SQS.AmazonSQSException"
    history = states.get_execution_history(executionArn=child["executionArn"])["events"]
    assert "TaskStateEntered" in [event["type"] for event in history]


def test_status_changes_reach_a_rule_on_the_default_bus(client: Client) -> None:
    sqs, events, states = client("sqs"), client("events"), client("stepfunctions")
    url = sqs.create_queue(QueueName="status")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"]},
    }
    events.put_rule(Name="ended-badly", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="ended-badly", Targets=[{"Id": "q", "Arn": arn}])
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    wait = {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}
    machine = create(client, "waits", role(client, "waits"), wait)
    execution = states.start_execution(stateMachineArn=machine, name="stopped")["executionArn"]
    states.stop_execution(executionArn=execution, error="Stopped", cause="by hand")
    assert states.describe_execution(executionArn=execution)["status"] == "ABORTED"
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    detail = json.loads(message["Body"])["detail"]
    assert (detail["executionArn"], detail["status"]) == (execution, "ABORTED")
    assert (detail["error"], detail["cause"]) == ("Stopped", "by hand")


def test_a_task_token_is_answered_through_the_api(client: Client) -> None:
    sqs, states = client("sqs"), client("stepfunctions")
    url = sqs.create_queue(QueueName="tokens")["QueueUrl"]
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}},
        "HeartbeatSeconds": 60,
        "End": True,
    }
    machine = create(client, "tokens", role(client, "tokens", "sqs:SendMessage"), {"Send": send})
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    token = json.loads(message["Body"])["token"]
    states.send_task_heartbeat(taskToken=token)
    states.send_task_success(taskToken=token, output='{"answered": true}')
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (described := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline
    assert json.loads(described["output"]) == {"answered": True}
    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_success(taskToken=token, output="{}")


def test_a_rule_starts_executions_on_the_engine(client: Client) -> None:
    events, states = client("events"), client("stepfunctions")
    machine = create(client, "ruled", role(client, "ruled"), {"Done": {"Type": "Succeed"}})
    events.put_rule(Name="starts", EventPattern=json.dumps({"source": ["test.starts"]}))
    starter = role(client, "starter", "states:StartExecution")
    events.put_targets(Rule="starts", Targets=[{"Id": "m", "Arn": machine, "RoleArn": starter}])
    events.put_events(Entries=[{"Source": "test.starts", "DetailType": "Go", "Detail": '{"n": 1}'}])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := states.list_executions(stateMachineArn=machine)["executions"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    described = states.describe_execution(executionArn=found[0]["executionArn"])
    assert json.loads(described["input"])["detail"] == {"n": 1}


def test_an_unsound_definition_is_refused_when_it_is_created(client: Client) -> None:
    states = {"First": {"Type": "Pass", "Next": "Nowhere"}}
    with pytest.raises(ClientError, match="Next names 'Nowhere', which does not exist") as caught:
        create(client, "unsound", role(client, "unsound"), states)
    assert caught.value.response["Error"]["Code"] == "InvalidDefinition"


def test_an_execution_is_redriven_once_its_role_has_the_permission_it_lacked(
    client: Client, queue_url: str
) -> None:
    states = client("stepfunctions")
    arn = role(client, "late")
    described = run(client, create(client, "late", arn, {"Send": sending(queue_url)}))
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("iam").put_role_policy(RoleName="late", PolicyName="p", PolicyDocument=policy)

    states.redrive_execution(executionArn=described["executionArn"])

    described = finished(states, described["executionArn"])
    assert (described["status"], described["redriveCount"]) == ("SUCCEEDED", 1)
    with pytest.raises(states.exceptions.ExecutionNotRedrivable, match="is SUCCEEDED"):
        states.redrive_execution(executionArn=described["executionArn"])
