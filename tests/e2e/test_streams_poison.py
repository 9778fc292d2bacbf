"""Poison and giants in the deployed stack.

What cannot be worked on lies at its failure destination, whole, and its alarm's metric moves; its neighbours
and everything behind it arrive.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.cli.lake.athena import Athena
from local.cli.operations.hub import DeployedHub
from local.cli.stack import functions, resources
from local.demo.streams.chain import Chain
from local.demo.streams.items import MEASUREMENT, PATIENT, Key
from local.demo.streams.lake_rows import rows_of
from local.demo.streams.plan import PUT, Plan, Write
from local.demo.streams.work_plan import WorkPlan
from local.lambda_runtime import deaths

PATIENCE_SECONDS = 30.0
GIANT_BYTES = 390_000


class Streams:
    """The deployed stack, with what these tests do most."""

    def __init__(self, hub: Any) -> None:
        self.hub = DeployedHub(hub.account, hub.stack_name, hub.outputs)
        self.account = hub.account
        self.name = hub.stack_name

    def chain(self, plan: Plan) -> Chain:
        return Chain(self.account, self.hub, plan, WorkPlan([], []), PATIENCE_SECONDS)

    def put(self, table: str, **item: Any) -> None:
        self.hub.client("dynamodb").put_item(TableName=self.hub.outputs[table], Item=item)

    def objects(self, bucket: str, prefix: str, having: str) -> list[Any]:
        """JSON objects below the prefix that have the text."""
        s3 = self.hub.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [listed["Key"] for page in pages for listed in page.get("Contents", [])]
        bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys]
        return [json.loads(line) for body in bodies for line in body.splitlines() if having in line]

    def metric(self, name: str, namespace: str = "HealthLakeHub", **dimensions: str) -> float:
        """The sum of a metric over the last hour, of one of the hub's own unless told otherwise."""
        now = datetime.now(UTC)
        points = self.hub.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[
                {"Name": name, "Value": value}
                for name, value in (dimensions or {"service": self.name}).items()
            ],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=5),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    def messages(self, logical_id: str) -> list[Any]:
        """The bodies that a queue of the stack has, deleted there."""
        (url,) = [
            resource["PhysicalResourceId"]
            for resource in resources(self.account, self.name)
            if resource["LogicalResourceId"] == logical_id
        ]
        sqs, found = self.hub.client("sqs"), []
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        return found


@pytest.fixture
def streams(hub: Any) -> Streams:
    return Streams(hub)


def _until(found: Callable[[], Any]) -> Any:
    """What is found as soon as it is something; whatever it is when it takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := found()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return result


def _measurements(prefix: str, number: int, **more: Any) -> Plan:
    """Measurements, each inserted once."""
    writes = []
    for position in range(number):
        key = Key(f"{prefix}p", f"MEASUREMENT#{position}", MEASUREMENT)
        attributes: dict[str, Any] = {"code": {"S": "8310-5"}, "value": {"N": f"{position}.5"}, **more}
        texts = {"unit": {"S": "Cel"}, "status": {"S": "final"}, "measuredAt": {"S": "2026-11-20T08:00:00Z"}}
        image = {**key.image, "itemType": {"S": MEASUREMENT}, **texts, **attributes}
        writes.append(Write(PUT, key, None, image))
    return Plan(writes, prefix)


def test_a_record_of_no_declared_type_lies_in_quarantine_and_its_neighbours_arrive(streams: Streams) -> None:
    plan = _measurements("neighbour-", 12)
    quarantined, refused = streams.metric("RecordsQuarantined"), streams.metric("LakeRowsRefused")
    with streams.chain(plan) as chain:
        streams.put(
            "RecordsTableName", id={"S": "poison-1"}, sk={"S": "X"}, itemType={"S": "Nobody"}, n={"N": "1.5"}
        )
        chain.write()

        assert chain.wait_for_events() == chain.wait_for_rows() == len(plan.changes)

    (kept,) = _until(lambda: streams.objects(streams.hub.bucket, "quarantine/records/", "poison-1"))
    assert kept["record"]["dynamodb"]["NewImage"]["n"] == {"N": "1.5"}
    assert streams.metric("RecordsQuarantined") == quarantined + 1
    failed = _until(lambda: streams.objects(streams.hub.lake_bucket, "records-errors/", ""))
    assert failed
    assert streams.metric("LakeRowsRefused") >= refused + 1


def test_a_record_that_kills_the_enrichment_leaves_its_position_and_everything_behind_it_arrives(
    streams: Streams,
) -> None:
    before, behind = _measurements("before-", 4), _measurements("behind-", 8)
    with _dying(streams, poison="deadly-1", functions=["EnrichChanges"]):
        with streams.chain(before) as first, streams.chain(behind) as second:
            first.write()
            streams.put(
                "RecordsTableName", id={"S": "deadly-1"}, sk={"S": "PATIENT"}, itemType={"S": PATIENT}
            )
            second.write()

            assert first.wait_for_events() == len(before.changes)
            assert second.wait_for_events() == len(behind.changes)
        (position,) = _until(lambda: streams.messages("RecordsPipeDeadLetterQueue"))

    assert position["DDBStreamBatchInfo"]["batchSize"] == 1


def test_a_record_that_kills_the_detection_of_transitions_lies_whole_in_the_bucket(streams: Streams) -> None:
    function = functions(streams.account, streams.name)["DetectTransitionsFunction"]
    errors = streams.metric("Errors", "AWS/Lambda", FunctionName=function)
    with _dying(streams, poison='"deadly-2"', functions=["DetectTransitions"]):
        for identity in ("deadly-2", "JOB-behind-deadly-2"):
            streams.put(
                "JobsTableName", id={"S": identity}, itemType={"S": "Job"}, phase={"S": "TESTS_COMPLETE"}
            )
        (kept,) = _until(lambda: streams.objects(streams.hub.bucket, "aws/lambda/", "deadly-2"))

    (record,) = json.loads(kept["payload"])["Records"]
    assert record["dynamodb"]["NewImage"] == {
        "id": {"S": "deadly-2"},
        "itemType": {"S": "Job"},
        "phase": {"S": "TESTS_COMPLETE"},
    }
    noted = _until(lambda: streams.objects(streams.hub.bucket, "transitions/", "JOB-behind-deadly-2"))
    assert len(noted) == 1
    assert streams.metric("Errors", "AWS/Lambda", FunctionName=function) >= errors + 4


def test_items_of_400_kb_with_both_images_pass_every_hop(streams: Streams) -> None:
    key = Key("giant-p", "PATIENT", PATIENT)
    images = [
        {
            **key.image,
            "itemType": {"S": PATIENT},
            "familyName": {"S": name},
            "note": {"S": name[0] * GIANT_BYTES},
        }
        for name in ("Giantä", "Riesig")
    ]
    plan = Plan([Write(PUT, key, None, images[0]), Write(PUT, key, images[0], images[1])], "giant-")
    items = {"items": {"L": [{"S": "x" * (GIANT_BYTES // 10)} for _ in range(10)]}, "phase": {"S": "RUNNING"}}
    with streams.chain(plan) as chain:
        chain.write()
        streams.put("JobsTableName", id={"S": "JOB-giant"}, itemType={"S": "Job"}, **items)

        assert chain.wait_for_events() == chain.wait_for_rows() == 2
        chain.wait_for_resources()
        count = chain.count()

    assert list(count.problems) == []
    assert (count.events, count.lake_rows, count.fhir_writes) == (2, 2, 1)
    rows = rows_of(Athena.of(streams.hub), "giant-")
    assert max(len(row.item or "") for row in rows) > GIANT_BYTES
    sent = _until(lambda: _queued(streams, "JOB-giant"))
    assert sent["key"] == {"id": "JOB-giant"}


def _queued(streams: Streams, identity: str) -> Any:
    """The message of the jobs queue that is about the item."""
    bodies = [body for body in streams.messages("JobsQueue") if body["key"]["id"] == identity]
    return bodies[0] if bodies else None


@contextmanager
def _dying(streams: Streams, **order: Any) -> Iterator[None]:
    """Functions die as ordered until the block ends."""
    chain = streams.chain(Plan([], "nobody-"))
    chain.ask(deaths.PATH, "POST", json.dumps(order).encode())
    try:
        yield
    finally:
        chain.ask(deaths.PATH, "DELETE")
