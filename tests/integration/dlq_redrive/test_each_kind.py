"""One message in each kind of dead-letter queue comes back to where it was bound, and nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ReadTimeoutError

from common import aws_clients
from common.errors import AwsCallFailed
from common.instants import format_instant

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:hub-test-clean"
PIPE = "arn:aws:pipes:us-east-1:123456789012:pipe/hub-test-records"
NOTHING: dict[str, Any] = {}
Calls = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def lambda_calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Functions and pipes, which moto runs in containers or not at all: what they were asked. What fails in
    them goes to the queues that are named for it."""
    calls: Calls = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def answer(client: Any, operation: str, parameters: Any) -> Any:
        if operation == "Invoke":
            calls.append((operation, parameters))
            return {"StatusCode": 202, "Payload": BytesIO(b"null")}
        if operation == "GetFunctionEventInvokeConfig":
            return failing_to("async-dead")
        if operation == "ListEventSourceMappings":
            return {"EventSourceMappings": [failing_to("stream-dead")]}
        if operation == "DescribePipe":
            source = {"DynamoDBStreamParameters": {"DeadLetterConfig": {"Arn": queue_arn("pipe-dead")}}}
            stream = boto3.client("dynamodb", "us-east-1").describe_table(TableName="records")["Table"]
            return {
                "Source": stream["LatestStreamArn"],
                "SourceParameters": source,
                "Target": FUNCTION,
            }
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    return calls


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:us-east-1:123456789012:hub-test-{name}"


def failing_to(name: str) -> dict[str, Any]:
    return {"DestinationConfig": {"OnFailure": {"Destination": queue_arn(name)}}}


def rule_to(target: str, dlq: str) -> dict[str, str]:
    """A rule with that target, and what EventBridge writes on an event that it could not deliver there."""
    events, name = aws_clients.events(), "hub-test-rule"
    arn = events.put_rule(Name=name, EventPattern='{"source": ["nobody"]}')["RuleArn"]
    answer = events.put_targets(
        Rule=name, Targets=[{"Id": "1", "Arn": target, "DeadLetterConfig": {"Arn": dlq}}]
    )
    assert answer["FailedEntryCount"] == 0
    return {"RULE_ARN": arn, "TARGET_ARN": target}


@pytest.fixture
def machine(redrive: Any) -> str:
    """A state machine, whose executions moto only notes."""
    definition = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
    role = "arn:aws:iam::123456789012:role/any"
    made = aws_clients.stepfunctions().create_state_machine(
        name="hub-test-export", definition=json.dumps(definition), roleArn=role
    )
    return made["stateMachineArn"]


@pytest.fixture
def executions(machine: str) -> Callable[[], list[Any]]:
    client = boto3.client("stepfunctions", "us-east-1")

    def started() -> list[Any]:
        listed = client.list_executions(stateMachineArn=machine)["executions"]
        return [client.describe_execution(executionArn=one["executionArn"]) for one in listed]

    return started


def redriven(redrive: Any, dlq: str) -> Any:
    return redrive.run_all(redrive.plan_of(dlq))


def test_rule_to_a_queue(redrive: Any) -> None:
    target, other = redrive.queue("target"), redrive.queue("other")
    dlq = redrive.queue("rule-dead", kind="rule")
    redrive.send(dlq, '{"id": "e"}', {**rule_to(target, dlq), "ERROR_CODE": "NO_PERMISSIONS"})

    assert redriven(redrive, dlq)["redriven"] == 1
    assert (redrive.bodies(target), redrive.bodies(other), redrive.bodies(dlq)) == (['{"id": "e"}'], [], [])
    assert "ERROR_CODE" not in redrive.messages(target)[0].message_attributes


def test_rule_to_a_function(redrive: Any, lambda_calls: Calls) -> None:
    dlq = redrive.queue("rule-dead", kind="rule")
    redrive.send(dlq, '{"id": "e"}', rule_to(FUNCTION, dlq))

    assert redriven(redrive, dlq)["redriven"] == 1
    ((_, request),) = lambda_calls
    assert (request["FunctionName"], request["InvocationType"]) == (FUNCTION, "Event")
    assert request["Payload"] == b'{"id": "e"}'


def test_rule_to_a_state_machine(redrive: Any, machine: str, executions: Any) -> None:
    dlq = redrive.queue("rule-dead", kind="rule")
    redrive.send(dlq, '{"id": "e"}', rule_to(machine, dlq))

    assert redriven(redrive, dlq)["redriven"] == 1
    assert [one["input"] for one in executions()] == ['{"id": "e"}']


def test_async_with_the_very_payload(redrive: Any, lambda_calls: Calls) -> None:
    dlq = redrive.queue("async-dead", kind="async")
    context = {"requestId": "1", "functionArn": f"{FUNCTION}:$LATEST", "condition": "RetriesExhausted"}
    head = json.dumps({"version": "1.0", "requestContext": context})[:-1]
    redrive.send(dlq, f'{head}, "requestPayload": {{"value": 1.10}}, "responsePayload": null}}')

    assert redriven(redrive, dlq)["redriven"] == 1
    ((_, request),) = lambda_calls
    assert (request["FunctionName"], request["Payload"]) == (FUNCTION, b'{"value": 1.10}')
    assert "Qualifier" not in request


def test_schedule_starts_its_state_machine_once(redrive: Any, machine: str, executions: Any) -> None:
    dlq = redrive.queue("schedule-dead", kind="schedule")
    schedule = boto3.client("scheduler", "us-east-1").create_schedule(
        Name="hub-test-nightly",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": machine,
            "RoleArn": "arn:aws:iam::123456789012:role/any",
            "DeadLetterConfig": {"Arn": dlq},
        },
    )
    attributes = {
        "TARGET_ARN": machine,
        "SCHEDULE_ARN": schedule["ScheduleArn"],
        "SCHEDULED_TIME": "2026-03-01T12:00:00Z",
        "IS_PAYLOAD_TRUNCATED": "false",
    }
    for _ in range(2):  # the same occurrence, delivered twice
        redrive.send(dlq, '{"startedBy": "schedule"}', {**attributes, "EXECUTION_ID": f"id {_}"})
        redrive.run_all(redrive.plan_of(dlq), execution=f"run {_}")

    (one,) = executions()
    assert one["input"] == '{"startedBy": "schedule"}'
    assert one["name"].startswith("redrive-")
    assert redrive.bodies(dlq) == []


def test_bus_again(redrive: Any) -> None:
    events, subscriber = aws_clients.events(), redrive.queue("subscriber")
    events.put_rule(Name="all", EventBusName="hub-events", EventPattern='{"source": ["healthlake-hub"]}')
    events.put_targets(Rule="all", EventBusName="hub-events", Targets=[{"Id": "q", "Arn": subscriber}])
    dlq = redrive.queue("bus-dead", kind="bus")
    redrive.send(
        dlq,
        json.dumps(
            {
                "id": "1",
                "source": "healthlake-hub",
                "detail-type": "ExportCompleted",
                "time": "2026-03-01T12:00:00Z",
                "detail": {"runId": "r"},
            }
        ),
    )

    assert redriven(redrive, dlq)["redriven"] == 1
    (body,) = redrive.bodies(subscriber)
    event = json.loads(body)
    assert (event["detail-type"], event["detail"]) == ("ExportCompleted", {"runId": "r"})


@pytest.fixture
def position(redrive: Any) -> Callable[..., str]:
    """A record of a batch in a table's stream that failed."""
    client = boto3.client("dynamodb", "us-east-1")
    made = client.create_table(
        TableName="records",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    for number in range(4):
        client.put_item(TableName="records", Item={"id": {"S": str(number)}})
    arn = made["TableDescription"]["LatestStreamArn"]
    streams = boto3.client("dynamodbstreams", "us-east-1")
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(
        StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    numbers = [
        one["dynamodb"]["SequenceNumber"] for one in streams.get_records(ShardIterator=iterator)["Records"]
    ]

    def record(first: int, last: int, arrived: datetime | None = None, **who: Any) -> str:
        batch = {
            "streamArn": arn,
            "shardId": shard["ShardId"],
            "startSequenceNumber": numbers[first],
            "endSequenceNumber": numbers[last],
            "approximateArrivalOfFirstRecord": format_instant(arrived or datetime.now(UTC)),
            "batchSize": last - first + 1,
        }
        return json.dumps({**who, "version": "1.0", "DDBStreamBatchInfo": batch})

    return record


def test_stream_gives_its_function_the_records_again(
    redrive: Any, lambda_calls: Calls, position: Any
) -> None:
    dlq = redrive.queue("stream-dead", kind="stream")
    redrive.send(dlq, position(1, 2, requestContext={"functionArn": FUNCTION}))

    assert redriven(redrive, dlq)["redriven"] == 1
    ((_, request),) = lambda_calls
    assert (request["FunctionName"], request["InvocationType"]) == (FUNCTION, "RequestResponse")
    records = json.loads(request["Payload"])["Records"]
    assert [one["dynamodb"]["Keys"]["id"]["S"] for one in records] == ["1", "2"]


def test_pipe_gives_its_target_the_records_again(redrive: Any, lambda_calls: Calls, position: Any) -> None:
    dlq = redrive.queue("pipe-dead", kind="pipe")
    redrive.send(dlq, position(2, 2, context={"partnerResourceArn": PIPE}))

    assert redriven(redrive, dlq)["redriven"] == 1
    ((_, request),) = lambda_calls
    (record,) = json.loads(request["Payload"])
    assert record["dynamodb"]["Keys"]["id"]["S"] == "2"


def test_a_position_that_has_expired_goes_to_quarantine_with_that_reason(
    redrive: Any, lambda_calls: Calls, position: Any
) -> None:
    dlq = redrive.queue("stream-dead", kind="stream")
    long_ago = datetime.now(UTC) - timedelta(hours=25)
    redrive.send(dlq, position(0, 0, long_ago, requestContext={"functionArn": FUNCTION}))

    assert redriven(redrive, dlq)["reasons"] == {"POSITION_EXPIRED": 1}
    assert lambda_calls == []
    assert redrive.quarantined()[0]["reason"] == "POSITION_EXPIRED"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("rule", "TARGET_UNKNOWN"),
        ("async", "FUNCTION_UNKNOWN"),
        ("schedule", "TARGET_UNKNOWN"),
        ("bus", "EVENT_UNREADABLE"),
        ("stream", "POSITION_UNREADABLE"),
        ("pipe", "POSITION_UNREADABLE"),
    ],
)
def test_what_does_not_say_where_it_belongs_is_kept_whole(redrive: Any, kind: str, reason: str) -> None:
    dlq = redrive.queue("odd-dead", kind=kind)
    redrive.send(dlq, '{"odd": true}', {"colour": "blue"})

    assert redriven(redrive, dlq)["reasons"] == {reason: 1}
    (letter,) = redrive.quarantined()
    assert (letter["kind"], letter["body"], letter["reason"]) == (kind, '{"odd": true}', reason)
    assert letter["messageAttributes"]["colour"]["StringValue"] == "blue"


@pytest.mark.parametrize(
    ("kind", "body", "attributes"),
    [
        (
            "rule",
            "{}",
            {"TARGET_ARN": FUNCTION, "RULE_ARN": "arn:aws:events:us-east-1:123456789012:rule/hub-test-no"},
        ),
        ("async", {"requestContext": {"functionArn": FUNCTION}, "requestPayload": {}}, {}),
        (
            "schedule",
            "{}",
            {"SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/hub-test-no"},
        ),
    ],
)
def test_what_names_a_target_that_sends_nothing_here_goes_to_quarantine(
    redrive: Any, lambda_calls: Calls, machine: str, executions: Any, kind: str, body: Any, attributes: Any
) -> None:
    dlq = redrive.queue("another-dead", kind=kind)
    text = body if isinstance(body, str) else json.dumps(body)
    redrive.send(dlq, text, {"TARGET_ARN": machine, **attributes})

    assert redriven(redrive, dlq)["reasons"] == {"TARGET_NOT_BOUND": 1}
    assert (lambda_calls, executions()) == ([], [])
    assert redrive.quarantined()[0]["body"] == text


def test_a_function_that_does_not_answer_is_not_called_again_while_it_may_run(
    redrive: Any, lambda_calls: Calls, position: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dlq, answer = redrive.queue("stream-dead", kind="stream"), BaseClient._make_api_call  # type: ignore[attr-defined]
    redrive.send(dlq, position(1, 2, requestContext={"functionArn": FUNCTION}))
    plan = redrive.plan_of(dlq)

    def silent(client: Any, operation: str, parameters: Any) -> Any:
        result = answer(client, operation, parameters)
        if operation == "Invoke":
            raise ReadTimeoutError(endpoint_url="https://lambda")
        return result

    monkeypatch.setattr(BaseClient, "_make_api_call", silent)
    with pytest.raises(AwsCallFailed, match="ReadTimeoutError"):
        redrive.run(plan)
    assert redrive.run(plan, "another")["received"] == 0
    (message,) = redrive.messages(dlq)
    assert 840 < message.visible_at / 1000 - time.time() <= 900

    redrive.show(dlq)
    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    assert redrive.run(plan, "later")["redriven"] == 1
    assert len(lambda_calls) == 2


def test_no_records_are_given_to_a_function_that_the_rest_of_the_call_is_too_short_for(
    redrive: Any, lambda_calls: Calls, position: Any
) -> None:
    dlq = redrive.queue("stream-dead", kind="stream")
    redrive.send(dlq, position(1, 2, requestContext={"functionArn": FUNCTION}))
    plan = redrive.plan_of(dlq)
    redrive.context.get_remaining_time_in_millis = lambda: 189_000

    assert redrive.run(plan)["received"] == 0
    assert lambda_calls == []
