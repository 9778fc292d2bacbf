"""Delivery streams into S3, against what AWS documents: Amazon Data Firehose Developer Guide."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from local.account.clients import client
from local.account.testing import running_account
from local.firehose.testing import PARQUET, Streams
from local.testing.patience import PATIENCE_SECONDS

TRANSFORM = """
import base64, json

def handler(event, context):
    records = []
    for one in event["records"]:
        text = base64.b64decode(one["data"]).decode()
        told = {"recordId": one["recordId"], "result": "Ok", "data": one["data"]}
        if text == "raise":
            raise RuntimeError("on request")
        if text == "drop":
            told["result"] = "Dropped"
        elif text == "fail":
            told["result"] = "ProcessingFailed"
        elif text == "forget":
            continue
        elif text == "twice":
            records.append(dict(told))
        elif text == "event":
            seen = {**event, "records": len(event["records"])}
            told["data"] = base64.b64encode(json.dumps(seen).encode()).decode()
        else:
            key = text.partition(":")[0]
            told["data"] = base64.b64encode((text.upper() + "\\n").encode()).decode()
            told["metadata"] = {"partitionKeys": {} if key == "nokey" else {"kind": key}}
        records.append(told)
    return {"records": records}
"""


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streams]:
    parts = ("lambda_runtime", "cloudwatch", "firehose")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        yield Streams(account)


@pytest.fixture(scope="module")
def transform(streams: Streams) -> str:
    return streams.function("transform", TRANSFORM)


def statistic(streams: Streams, name: str, metric: str, statistic: str) -> float:
    found = client(streams.account, "cloudwatch").get_metric_statistics(
        Namespace="AWS/Firehose",
        MetricName=metric,
        Dimensions=[{"Name": "DeliveryStreamName", "Value": name}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=3600,
        Statistics=[statistic],
    )["Datapoints"]
    return float(sum(point[statistic] for point in found))


def test_records_wait_for_size_or_time_and_then_share_one_object(streams: Streams) -> None:
    streams.create("buffers")

    streams.put("buffers", [b"one ", b"two "])
    streams.firehose.put_record(DeliveryStreamName="buffers", Record={"Data": b"three"})
    before = streams.objects("buffers")
    streams.flush()

    (key,), (body,) = zip(*streams.objects("buffers").items(), strict=True)
    assert before == {}
    assert body == b"one two three"
    assert key.startswith(time.strftime("data/%Y/%m/%d/", time.gmtime()))
    assert "/buffers-1-" in key


def test_a_full_buffer_is_delivered_by_itself(streams: Streams) -> None:
    streams.create("fills", BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 900})

    streams.put("fills", [b"x" * 600_000, b"y" * 600_000])

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := streams.objects("fills")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [len(body) for body in found.values()] == [1_200_000]


def test_a_buffer_is_delivered_when_its_interval_is_over(streams: Streams) -> None:
    streams.create("ages", BufferingHints={"SizeInMBs": 5, "IntervalInSeconds": 0})

    streams.put("ages", [b"at once"])

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := streams.objects("ages")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(found.values()) == [b"at once"]


def test_what_a_function_answers_is_stored_or_dropped_and_nothing_passes_as_it_was(
    streams: Streams, transform: str
) -> None:
    streams.create("answers", transform=transform)

    streams.put("answers", [b"good", b"drop", b"fail", b"forget", b"twice"])
    streams.flush()

    failed = {
        base64.b64decode(line["rawData"]): (line["errorCode"], line["attemptsMade"])
        for line in streams.errors("answers", "processing-failed")
    }
    assert list(streams.objects("answers", "data/").values()) == [b"GOOD\n"]
    assert failed == {
        b"fail": ("Lambda.ProcessingFailedStatus", 1),
        b"forget": ("Lambda.MissingRecordId", 1),
        b"twice": ("Lambda.DuplicatedRecordId", 1),
    }


def test_a_function_that_raises_is_tried_four_times_and_its_batch_goes_to_the_error_prefix(
    streams: Streams, transform: str
) -> None:
    streams.create("raises", transform=transform)

    streams.put("raises", [b"raise", b"good"])
    streams.flush()

    errors = streams.errors("raises", "processing-failed")
    assert streams.objects("raises", "data/") == {}
    assert [set(line) for line in errors] == [
        {
            "attemptsMade",
            "arrivalTimestamp",
            "errorCode",
            "errorMessage",
            "attemptEndingTimestamp",
            "rawData",
            "lambdaARN",
        }
    ] * 2
    assert {(line["errorCode"], line["attemptsMade"], line["lambdaARN"]) for line in errors} == {
        ("Lambda.FunctionError", 4, transform)
    }
    assert statistic(streams, "raises", "ExecuteProcessing.Success", "Average") == 0.0
    assert statistic(streams, "raises", "ExecuteProcessing.Success", "SampleCount") == 4


def test_the_function_sees_the_event_that_aws_sends(streams: Streams, transform: str) -> None:
    streams.create("events", transform=transform)

    streams.put("events", [b"event"])
    streams.flush()

    seen = json.loads(next(iter(streams.objects("events", "data/").values())))
    assert set(seen) == {"invocationId", "deliveryStreamArn", "region", "records"}
    assert seen["deliveryStreamArn"] == "arn:aws:firehose:us-east-1:000000000000:deliverystream/events"
    assert seen["region"] == "us-east-1"


def test_one_invocation_takes_no_more_than_the_processors_buffer(streams: Streams, transform: str) -> None:
    streams.create("splits", transform=transform, parameters={"BufferSizeInMBs": "0.2"})

    streams.put("splits", [b"a" * 150_000, b"b" * 150_000, b"c" * 150_000])
    streams.flush()

    assert statistic(streams, "splits", "ExecuteProcessing.Success", "SampleCount") == 3
    assert statistic(streams, "splits", "SucceedProcessing.Records", "Sum") == 3


def test_records_of_one_partition_share_an_object_and_one_without_its_key_is_an_error(
    streams: Streams, transform: str
) -> None:
    streams.create(
        "partitions",
        transform=transform,
        DynamicPartitioningConfiguration={"Enabled": True},
        Prefix="data/kind=!{partitionKeyFromLambda:kind}/",
    )

    streams.put("partitions", [b"a:1", b"b:2", b"a:3", b"nokey:4"])
    streams.flush()

    stored = {key.rsplit("/", 1)[0]: body for key, body in streams.objects("partitions", "data/").items()}
    assert stored == {"data/kind=a": b"A:1\nA:3\n", "data/kind=b": b"B:2\n"}
    (line,) = streams.errors("partitions", "processing-failed")
    assert base64.b64decode(line["rawData"]) == b"nokey:4"


def test_past_500_active_partitions_records_go_to_the_error_prefix(streams: Streams, transform: str) -> None:
    streams.create(
        "exceeds",
        transform=transform,
        DynamicPartitioningConfiguration={"Enabled": True},
        Prefix="data/!{partitionKeyFromLambda:kind}/",
    )

    streams.put("exceeds", [f"k{number}:".encode() for number in range(500)])
    streams.put("exceeds", [b"k0:", b"k500:", b"k501:"])
    streams.flush()

    (line, other) = streams.errors("exceeds", "activePartitionExceeded")
    assert sorted(base64.b64decode(one["rawData"]) for one in (line, other)) == [b"k500:", b"k501:"]
    assert statistic(streams, "exceeds", "PartitionCountExceeded", "Maximum") == 1


def test_records_become_one_parquet_object_of_the_glue_tables_columns(streams: Streams) -> None:
    streams.table("lake", "rows", {"id": "string", "at": "timestamp", "item": "string", "n": "bigint"})
    streams.create(
        "converts",
        DataFormatConversionConfiguration={
            **PARQUET,
            "SchemaConfiguration": {"DatabaseName": "lake", "TableName": "rows"},
        },
    )
    exact = '{"n":1.10,"big":123456789012345678901234567890.5}'

    first = {"id": "a", "at": "2026-11-21 10:11:12.345", "item": exact, "n": 9007199254740993}
    streams.put("converts", [json.dumps(first).encode() + b"\n", b'{"ID": "b"}', b"{broken", b"", b'"text"'])
    streams.flush()

    (key, body), *more = streams.objects("converts", "data/").items()
    rows = pq.read_table(io.BytesIO(body)).to_pylist()
    assert (key.endswith(".parquet"), more) == (True, [])
    assert [row["item"] for row in rows] == [exact, None]
    assert rows[0]["n"] == 9007199254740993
    assert rows[0]["at"].isoformat(timespec="milliseconds") == "2026-11-21T10:11:12.345"
    errors = streams.errors("converts", "format-conversion-failed")
    assert [base64.b64decode(line["rawData"]) for line in errors] == [b"{broken", b"", b'"text"']
    assert errors[0]["ErrorCode"] == "DataFormatConversion.ParseError"
    assert errors[0]["dataCatalogTable"]["tableName"] == "rows"
    assert statistic(streams, "converts", "FailedConversion.Records", "Sum") == 3


def test_without_the_right_to_invoke_every_record_is_an_error(streams: Streams, transform: str) -> None:
    streams.create("mute", actions=["s3:PutObject"], transform=transform)

    streams.put("mute", [b"good"])
    streams.flush()

    (line,) = streams.errors("mute", "processing-failed")
    assert line["errorCode"] == "Lambda.InvokeAccessDenied"


@pytest.mark.parametrize("lacking", ["catalog", "database/closed", "table/closed/rows"])
def test_without_the_right_to_read_the_table_its_database_and_the_catalog_records_wait(
    streams: Streams, lacking: str
) -> None:
    name = f"closed-{lacking.partition('/')[0]}"
    if name == "closed-catalog":
        streams.table("closed", "rows", {"id": "string"})
    conversion = {**PARQUET, "SchemaConfiguration": {"DatabaseName": "closed", "TableName": "rows"}}
    streams.create(name, DataFormatConversionConfiguration=conversion)
    streams.deny(f"{name}-role", "glue:GetTable", f"arn:aws:glue:*:*:{lacking}")
    streams.put(name, [b'{"id": "a"}'])

    assert streams.flush()["undelivered"] == 1

    streams.deny(f"{name}-role", "glue:GetTable", "arn:aws:glue:*:*:table/closed/others")
    assert streams.flush() == {"objects": 1, "undelivered": 0}


def test_without_the_right_to_store_records_wait_until_the_role_has_it(streams: Streams) -> None:
    streams.create("stuck", actions=[])
    streams.put("stuck", [b"patience"])

    refused = streams.flush()
    streams.allow("stuck-role", "s3:PutObject")
    streams.flush()

    assert refused["undelivered"] == 1
    assert list(streams.objects("stuck").values()) == [b"patience"]
    assert statistic(streams, "stuck", "DeliveryToS3.Success", "SampleCount") == 2
    assert statistic(streams, "stuck", "DeliveryToS3.Success", "Sum") == 1


def test_what_cannot_be_stored_is_told_in_the_streams_log_and_never_what_it_says(streams: Streams) -> None:
    streams.logs.create_log_group(logGroupName="told")
    streams.logs.create_log_stream(logGroupName="told", logStreamName="delivery")
    options = {"Enabled": True, "LogGroupName": "told", "LogStreamName": "delivery"}
    streams.create("tells", actions=[], CloudWatchLoggingOptions=options)
    # as CloudFormation tells the ARN of a log group
    streams.allow("tells-role", "logs:PutLogEvents", "arn:aws:logs:*:*:log-group:told:*")
    streams.put("tells", [b"marked"])
    streams.flush()

    events = streams.logs.get_log_events(logGroupName="told", logStreamName="delivery")["events"]

    (line,) = [json.loads(event["message"]) for event in events]
    assert line["errorCode"] == "S3.AccessDenied"
    assert "marked" not in json.dumps(line)
    streams.allow("tells-role", "s3:PutObject")
    assert streams.flush() == {"objects": 1, "undelivered": 0}


def test_what_a_stream_held_goes_with_it(streams: Streams) -> None:
    streams.create("deleted")
    streams.put("deleted", [b"too late"])

    streams.firehose.delete_delivery_stream(DeliveryStreamName="deleted")

    assert streams.flush() == {"objects": 0, "undelivered": 0}
    assert streams.objects("deleted") == {}


def test_a_batch_fails_record_by_record_when_that_is_asked_for(streams: Streams) -> None:
    streams.create("throttles")
    streams.ask("faults", {"failRecords": 1})

    answer = streams.put("throttles", [b"first", b"second"])
    streams.flush()

    failed, taken = answer["RequestResponses"]
    assert (answer["FailedPutCount"], failed["ErrorCode"]) == (1, "ServiceUnavailableException")
    assert taken["RecordId"]
    assert list(streams.objects("throttles").values()) == [b"second"]


@pytest.mark.parametrize(
    "records", [[b"x"] * 501, [b"x" * 1_024_001], [b"x" * 1_000_000] * 5], ids=["many", "long", "together"]
)
def test_a_batch_beyond_a_limit_is_refused_whole(streams: Streams, records: list[bytes]) -> None:
    if "limits" not in streams.firehose.list_delivery_streams(Limit=50)["DeliveryStreamNames"]:
        streams.create("limits")

    with pytest.raises(ClientError) as refused:
        streams.put("limits", records)

    streams.flush()
    assert refused.value.response["Error"]["Code"] == "InvalidArgumentException"
    assert streams.objects("limits") == {}


def test_data_freshness_and_incoming_records_are_measured(streams: Streams) -> None:
    streams.create("measures")

    streams.put("measures", [b"one", b"two"])
    streams.flush()

    assert statistic(streams, "measures", "IncomingRecords", "Sum") == 2
    assert statistic(streams, "measures", "DeliveryToS3.Records", "Sum") == 2
    assert 0 <= statistic(streams, "measures", "DeliveryToS3.DataFreshness", "Maximum") < 60
