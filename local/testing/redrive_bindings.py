"""What dead letters of a stack name as their targets: rules, schedules, functions, streams and pipes, each
with the dead-letter queue for what fails there. All but functions are moto's; functions are the bench's.

    with RedriveHub(monkeypatch) as hub:
        dead = hub.queue("dead", kind="stream")
        who = hub.bindings.reader(hub.bindings.function("reader"), dead)
        hub.send(dead, [hub.bindings.failed_batch(who, first=1, last=2)])
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import boto3
from botocore.exceptions import ClientError

from common.instants import format_instant
from local.stepfunctions.workbench import Workbench
from local.testing.mocked_hub import ACCOUNT, REGION
from local.testing.redrive_queues import Queue

STACK = "hub-test"
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


class BoundFunctions:
    """Lambda's client as functions have it: the bench's functions, and where goes what fails in them."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self.failures: dict[str, str] = {}
        self.readers: dict[tuple[str, str], str] = {}

    def invoke(self, **request: Any) -> Any:
        """A call of a function of the bench."""
        return self._bench.client("lambda").invoke(**request)

    def get_function_event_invoke_config(self, **request: str) -> dict[str, Any]:
        """What becomes of asynchronous invocations that fail."""
        queue = self.failures.get(request["FunctionName"])
        if queue is None:
            refusal: Any = {"Error": {"Code": "ResourceNotFoundException"}}
            raise ClientError(refusal, "GetFunctionEventInvokeConfig")
        return {"DestinationConfig": {"OnFailure": {"Destination": queue}}}

    def list_event_source_mappings(self, **request: str) -> dict[str, Any]:
        """Which streams a function reads, and where goes what fails in it."""
        queue = self.readers.get((request["FunctionName"], request["EventSourceArn"]))
        mapping = {"DestinationConfig": {"OnFailure": {"Destination": queue}}}
        return {"EventSourceMappings": [] if queue is None else [mapping]}


class RedriveBindings:
    """Makes what dead letters name as their targets. Names are given without the stack's before them."""

    def __init__(self, bench: Workbench) -> None:
        self.functions = BoundFunctions(bench)
        self._bench = bench
        self._numbers = count(1)
        self._stream: tuple[str, str, list[str]] | None = None

    def function(self, name: str, handler: Callable[[Any, Any], Any] = lambda _event, _context: None) -> str:
        """The ARN of a function of the stack, which does what the handler does."""
        self._bench.functions[f"{STACK}-{name}"] = handler
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{STACK}-{name}"

    def failing_to(self, function_arn: str, dead: Queue) -> None:
        """Let go to a queue what a function was given asynchronously and failed on."""
        self.functions.failures[function_arn] = dead.arn

    def rule(self, target_arn: str, dead: Queue) -> dict[str, str]:
        """A rule with that target; returns what EventBridge says of an event that it could not deliver."""
        events, name = boto3.client("events", REGION), f"{STACK}-rule-{next(self._numbers)}"
        arn = events.put_rule(Name=name, EventPattern='{"source": ["nobody"]}')["RuleArn"]
        target: Any = {"Id": "1", "Arn": target_arn, "DeadLetterConfig": {"Arn": dead.arn}}
        events.put_targets(Rule=name, Targets=[target])
        return {"RULE_ARN": arn, "TARGET_ARN": target_arn}

    def schedule(self, machine_arn: str, dead: Queue) -> dict[str, str]:
        """A schedule; returns what EventBridge Scheduler says of a start that failed."""
        target: Any = {"Arn": machine_arn, "RoleArn": _ROLE, "DeadLetterConfig": {"Arn": dead.arn}}
        arn = boto3.client("scheduler", REGION).create_schedule(
            Name=f"{STACK}-schedule-{next(self._numbers)}",
            ScheduleExpression="rate(1 day)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=target,
        )["ScheduleArn"]
        return {"SCHEDULE_ARN": arn, "TARGET_ARN": machine_arn, "SCHEDULED_TIME": "2026-01-01T00:00:00Z"}

    def reader(self, function_arn: str, dead: Queue) -> dict[str, Any]:
        """Let a function read the stream; returns who failed, as a record of a failure says."""
        self.functions.readers[function_arn, self._table()[0]] = dead.arn
        return {"requestContext": {"functionArn": function_arn}}

    def pipe(self, dead: Queue, target_arn: str, **more: Any) -> dict[str, Any]:
        """A pipe from the stream to a target; returns who failed, as a record of a failure says."""
        source: Any = {"StartingPosition": "LATEST", "DeadLetterConfig": {"Arn": dead.arn}}
        arn = boto3.client("pipes", REGION).create_pipe(
            Name=f"{STACK}-pipe-{next(self._numbers)}",
            RoleArn=_ROLE,
            Source=self._table()[0],
            SourceParameters={"DynamoDBStreamParameters": source},
            Target=target_arn,
            **more,
        )["Arn"]
        return {"context": {"partnerResourceArn": arn}}

    def failed_batch(
        self, who: dict[str, Any], first: int, last: int, age: timedelta = timedelta(minutes=5)
    ) -> str:
        """The record of a batch that failed, from one record of the stream to another."""
        stream, shard, numbers = self._table()
        batch = {
            "streamArn": stream,
            "shardId": shard,
            "startSequenceNumber": numbers[first],
            "endSequenceNumber": numbers[last],
            "approximateArrivalOfFirstRecord": format_instant(datetime.now(UTC) - age),
            "batchSize": last - first + 1,
        }
        return json.dumps({**who, "version": "1.0", "DDBStreamBatchInfo": batch})

    def _table(self) -> tuple[str, str, list[str]]:
        """The stream of a table, its one shard, and the sequence numbers of its six records."""
        if self._stream is None:
            self._stream = _table_with_records(f"{STACK}-records", 6)
        return self._stream


def _table_with_records(name: str, number: int) -> tuple[str, str, list[str]]:
    client = boto3.client("dynamodb", REGION)
    stream_arn = client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]["LatestStreamArn"]
    for one in range(number):
        client.put_item(TableName=name, Item={"id": {"S": str(one)}})
    streams = boto3.client("dynamodbstreams", REGION)
    (shard,) = streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]["Shards"]
    return stream_arn, shard["ShardId"], list(_numbers(streams, stream_arn, shard["ShardId"]))


def _numbers(streams: Any, stream_arn: str, shard_id: str) -> Iterator[str]:
    iterator = streams.get_shard_iterator(
        StreamArn=stream_arn, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    for record in streams.get_records(ShardIterator=iterator)["Records"]:
        yield record["dynamodb"]["SequenceNumber"]
