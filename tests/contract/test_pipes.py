"""Pipes from a table's stream through an enrichment to their targets, with the rights of their roles.

AWS documentation: Amazon EventBridge User Guide, «Amazon EventBridge Pipes concepts» and the pages below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local.account.testing import running_account
from local.pipes.testing import READING, StreamLab, eventually

NAMES_CHANGES = """
def handler(records, context):
    def named(record):
        change = record["dynamodb"]
        meta = {"change": record["eventName"].title(), "time": "2026-11-20T10:00:00Z",
                "id": change["Keys"]["id"]["S"]}
        return {"meta": meta, "source": record["eventSourceARN"],
                "exact": [12345678901234567890123, 1.5, 1e-7], "text": "straße ✓"}
    return [named(one) for one in records if not one["dynamodb"]["Keys"]["id"]["S"].startswith("skip")]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamLab]:
    parts = ("lambda_runtime", "stepfunctions", "cloudwatch", "sqs", "pipes")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        yield StreamLab(account)


@pytest.fixture(scope="module")
def names_changes(lab: StreamLab) -> str:
    return lab.function("names-changes", NAMES_CHANGES)


def test_a_write_comes_out_at_the_bus_as_its_enrichment_answered_it(
    lab: StreamLab, names_changes: str
) -> None:
    stream, (bus, url) = lab.table("to-bus"), lab.bus("to-bus")
    role = lab.role(
        "to-bus", (READING, stream), ("lambda:InvokeFunction", names_changes), ("events:PutEvents", bus)
    )
    internal = {"dynamodb": {"Keys": {"id": {"S": [{"anything-but": {"prefix": "#"}}]}}}}
    lab.client("pipes").create_pipe(
        Name="to-bus",
        RoleArn=role,
        Source=stream,
        SourceParameters={
            "FilterCriteria": {"Filters": [{"Pattern": json.dumps(internal)}]},
            "DynamoDBStreamParameters": {"StartingPosition": "LATEST", "BatchSize": 10},
        },
        Enrichment=names_changes,
        Target=bus,
        TargetParameters={
            "EventBridgeEventBusParameters": {
                "Source": "records",
                "DetailType": "$.meta.change",
                "Resources": ["$.source"],
                "Time": "$.meta.time",
            }
        },
    )

    lab.put("to-bus", ["a", "#internal", "skip-this", "b"])
    told = [json.loads(body) for body in lab.messages(url, 2)]

    assert [event["detail"]["meta"]["id"] for event in told] == ["a", "b"]
    assert {(event["source"], event["detail-type"], event["resources"][0]) for event in told} == {
        ("records", "Insert", stream)
    }
    assert told[0]["detail"]["exact"] == [12345678901234567890123, 1.5, 1e-7]
    assert lab.nothing_more(url)


def test_a_write_comes_out_of_firehose(lab: StreamLab, names_changes: str) -> None:
    stream = lab.table("to-firehose")
    lab.client("s3").create_bucket(Bucket="lake")
    delivery = lab.client("firehose").create_delivery_stream(
        DeliveryStreamName="to-firehose",
        ExtendedS3DestinationConfiguration={
            "RoleARN": lab.role("delivery", ("s3:*", "*")),
            "BucketARN": "arn:aws:s3:::lake",
        },
    )["DeliveryStreamARN"]
    role = lab.role(
        "to-firehose",
        (READING, stream),
        ("lambda:InvokeFunction", names_changes),
        ("firehose:PutRecordBatch", delivery),
    )
    lab.client("pipes").create_pipe(
        Name="to-firehose",
        RoleArn=role,
        Source=stream,
        SourceParameters={"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON", "BatchSize": 100}},
        Enrichment=names_changes,
        Target=delivery,
    )

    lab.put("to-firehose", ["a"])
    listed = eventually(lambda: lab.client("s3").list_objects_v2(Bucket="lake").get("Contents"))
    body = lab.client("s3").get_object(Bucket="lake", Key=listed[0]["Key"])["Body"].read()

    assert json.loads(body)["meta"]["id"] == "a"
    assert b"12345678901234567890123, 1.5, 1e-07" in body
