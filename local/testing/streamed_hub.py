"""A deployed hub for tests of its streams: what they write, order and look up most."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from dlq_redrive.failure_records import PositionRecord, read_record
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.stream_records import read_records
from local.account.state_file import RunningAccount
from local.cli.executions import Executions
from local.cli.lake.failed_rows import ErrorPrefix
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.redrive.quarantined import queue_arn, redrive_machine
from local.cli.redrive.workflow import follow
from local.cli.stack import functions, resources
from local.cloudwatch.testing import evaluate_alarms
from local.demo.streams.chain import Chain
from local.demo.streams.items import MEASUREMENT, Image, Key
from local.demo.streams.plan import PUT, Plan, Write
from local.demo.streams.work_plan import WorkPlan
from local.lambda_runtime import deaths
from local.testing.patience import PATIENCE_SECONDS


class StreamedHub:
    """The deployed stack."""

    def __init__(self, account: RunningAccount, stack_name: str, outputs: Mapping[str, str]) -> None:
        self.hub = DeployedHub(account, stack_name, outputs)
        self.account = account
        self.name = stack_name

    def chain(self, plan: Plan) -> Chain:
        """A plan of changes of records, to be followed."""
        return Chain(self.account, self.hub, plan, WorkPlan([], []), PATIENCE_SECONDS)

    def put(self, table: str, image: Image) -> None:
        """Put an item into the table that an output of the stack names."""
        self.hub.client("dynamodb").put_item(TableName=self.hub.outputs[table], Item=dict(image))

    def put_at_once(self, images: Sequence[Image]) -> None:
        """Put up to 25 records in one request."""
        requests = [{"PutRequest": {"Item": dict(image)}} for image in images]
        answer = self.hub.client("dynamodb").batch_write_item(
            RequestItems={self.hub.outputs["RecordsTableName"]: requests}
        )
        assert not answer.get("UnprocessedItems")

    def function(self, logical_id: str) -> str:
        """What a function of the stack is called."""
        return functions(self.account, self.name)[logical_id]

    def objects(self, bucket: str, prefix: str, having: str) -> list[Any]:
        """JSON objects below the prefix that have the text."""
        s3 = self.hub.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [listed["Key"] for page in pages for listed in page.get("Contents", [])]
        bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys]
        return [json.loads(line) for body in bodies for line in body.splitlines() if having in line]

    def failed_rows(self, having: str) -> dict[str, list[Any]]:
        """What Firehose has put below the error prefix, as it was put into the stream, by the key of its
        object: of objects that have a record with the text."""
        found = {one.key: [row.data.decode() for row in one.rows] for one in ErrorPrefix(self.hub).objects()}
        return {
            key: [json.loads(row) for row in rows]
            for key, rows in found.items()
            if any(having in row for row in rows)
        }

    def metric(self, name: str, namespace: str = "HealthLakeHub", **dimensions: str) -> float:
        """The sum of a metric over the last hour, of one of the hub's own unless told otherwise."""
        now = datetime.now(UTC)
        points = self.hub.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[
                {"Name": dimension, "Value": value}
                for dimension, value in (dimensions or {"service": self.name}).items()
            ],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=5),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    def alarm(self, name: str) -> str:
        """The state of an alarm of the stack, evaluated now."""
        return evaluate_alarms(self.account)[f"{self.name}-{name}"]

    def messages(self, logical_id: str) -> list[Any]:
        """Bodies that a queue of the stack has, which they stay in and can be received from at once."""
        return [json.loads(message["Body"]) for message in self._received(logical_id)]

    def take(self, logical_id: str, wanted: Callable[[Any], bool]) -> Any:
        """The body of a message that is wanted, deleted, as is what came with it; None if there is none."""
        sqs, bodies = self.hub.client("sqs"), []
        for message in self._received(logical_id):
            sqs.delete_message(QueueUrl=self._url(logical_id), ReceiptHandle=message["ReceiptHandle"])
            bodies.append(json.loads(message["Body"]))
        return next(filter(wanted, bodies), None)

    def read_again(self, position: Any) -> list[dict[str, Any]]:
        """The records of a position that a pipe has left."""
        record = read_record(json.dumps(position), PositionRecord)
        assert record is not None
        records = read_records(self.hub.client("dynamodbstreams"), record.DDBStreamBatchInfo)
        assert not isinstance(records, Reason)
        return records

    def redrive(self, *logical_ids: str) -> list[bool]:
        """Redrive dead-letter queues of the stack at once; returns of each whether that ended well."""
        executions = Executions(self.account, redrive_machine(self.hub))
        arns = [queue_arn(self.hub, self._url(logical_id).rpartition("/")[2]) for logical_id in logical_ids]
        started = [executions.start({"queueArn": arn}) for arn in arns]
        return [follow(executions, execution, Output()).good for execution in started]

    @contextmanager
    def stopped_pipes(self) -> Iterator[None]:
        """No pipe reads until the block ends."""
        pipes, names = self.hub.client("pipes"), [f"{self.name}-records", f"{self.name}-lake-rows"]
        for name in names:
            pipes.stop_pipe(Name=name)
        try:
            yield
        finally:
            for name in names:
                pipes.start_pipe(Name=name)

    @contextmanager
    def dying(self, **order: Any) -> Iterator[None]:
        """Functions die as ordered until the block ends."""
        chain = self.chain(Plan([], "nobody-"))
        chain.ask(deaths.PATH, "POST", json.dumps(order).encode())
        try:
            yield
        finally:
            chain.ask(deaths.PATH, "DELETE")

    def _received(self, logical_id: str) -> list[Any]:
        # some queues let who receives wait for messages
        at_once = {"MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "WaitTimeSeconds": 0}
        received: list[Any] = (
            self.hub.client("sqs")
            .receive_message(QueueUrl=self._url(logical_id), **at_once)
            .get("Messages", [])
        )
        return received

    def _url(self, logical_id: str) -> str:
        (url,) = [
            resource["PhysicalResourceId"]
            for resource in resources(self.account, self.name)
            if resource["LogicalResourceId"] == logical_id
        ]
        return str(url)


def until(found: Callable[[], Any]) -> Any:
    """What is found as soon as it is something; whatever it is when it takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := found()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return result


def measurements(prefix: str, number: int, person: str = "p") -> Plan:
    """Measurements of one person, each inserted once."""
    writes = []
    for position in range(number):
        key = Key(f"{prefix}{person}", f"MEASUREMENT#{position}", MEASUREMENT)
        attributes = {"code": {"S": "8310-5"}, "value": {"N": f"{position}.5"}}
        texts = {"unit": {"S": "Cel"}, "status": {"S": "final"}, "measuredAt": {"S": "2026-11-20T08:00:00Z"}}
        image = {**key.image, "itemType": {"S": MEASUREMENT}, **texts, **attributes}
        writes.append(Write(PUT, key, None, image))
    return Plan(writes, prefix)
