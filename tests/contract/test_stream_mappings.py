"""Functions that read a table's stream: what is tried again, divided and given up, and what is told of it.

AWS documentation: AWS Lambda Developer Guide, «Retaining discarded batch records for a DynamoDB event source
in Lambda», «Configuring partial batch response with DynamoDB and Lambda».
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dlq_redrive.failure_records import PositionRecord, read_record
from local.account.testing import running_account
from local.cloudwatch.testing import evaluate_alarms
from local.pipes.testing import READING, StreamLab, eventually

READS = """
import json, os
def handler(event, context):
    ids = [one["dynamodb"]["Keys"]["id"]["S"] for one in event["Records"]]
    with open(os.environ["SEEN"] + "/" + event["Records"][0]["eventSourceARN"].split("/")[1], "a") as seen:
        seen.write(json.dumps(ids) + "\\n")
    if any(one.startswith("poison") for one in ids):
        raise ValueError("as told")
    reported = [one for one in event["Records"] if one["dynamodb"]["Keys"]["id"]["S"].startswith("report")]
    return {"batchItemFailures": [{"itemIdentifier": one["dynamodb"]["SequenceNumber"]} for one in reported]}
"""

TAKES_MESSAGES = """
import os, time
def handler(event, context):
    for record in event["Records"]:
        if record["body"] == "slow":
            time.sleep(1.5)
        with open(os.environ["SEEN"], "a") as seen:
            seen.write(record["body"] + "\\n")
"""

KEEPS = ["s3:PutObject", "s3:ListBucket", "sqs:SendMessage", "sns:Publish"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamLab]:
    parts = ("lambda_runtime", "cloudwatch", "sqs", "streams")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        yield StreamLab(account)


@pytest.fixture(scope="module")
def seen(lab: StreamLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the function `reads` writes what it is given, a file for each table."""
    folder = tmp_path_factory.mktemp("seen")
    rights = (
        {"Effect": "Allow", "Action": READING, "Resource": "*"},
        {"Effect": "Allow", "Action": KEEPS, "Resource": "*"},
    )
    role = lab.functions.role("reads", rights)
    lab.functions.create("reads", role, READS, Environment={"Variables": {"SEEN": str(folder)}})
    return folder


def _batches(seen: Path, table: str) -> list[list[str]]:
    file = seen / table
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _map(
    lab: StreamLab, table: str, written: Sequence[str] = (), function: str = "reads", **options: Any
) -> str:
    """Let the function read a new table's stream, in which something is written already, from its beginning;
    returns the mapping's id."""
    stream = lab.table(table)
    lab.put(table, written)
    return _read(lab, stream, function, **options)


def _read(lab: StreamLab, stream: str, function: str = "reads", **options: Any) -> str:
    """Let the function read a stream from its beginning; returns the mapping's id."""
    mapping: str = lab.client("lambda").create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName=function,
        StartingPosition="TRIM_HORIZON",
        **{"BatchSize": 100, **options},
    )["UUID"]
    return mapping


def test_a_poison_record_is_isolated_and_told_with_its_neighbours_and_followers_processed(
    lab: StreamLab, seen: Path
) -> None:
    url, dead = lab.queue("isolated-dead")
    _map(
        lab,
        "isolated",
        ["a", "b", "poison", "c", "behind"],
        BatchSize=4,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": dead}},
    )
    (told,) = lab.messages(url, 1)
    processed = eventually(
        lambda: (
            {one for batch in _batches(seen, "isolated") if "poison" not in batch for one in batch}
            >= {"a", "b", "c", "behind"}
        )
    )
    record = read_record(told, PositionRecord)

    assert processed
    assert record is not None
    assert record.DDBStreamBatchInfo.batchSize == 1
    assert record.DDBStreamBatchInfo.startSequenceNumber == record.DDBStreamBatchInfo.endSequenceNumber
    assert json.loads(told)["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert json.loads(told)["responseContext"]["functionError"] == "Unhandled"
    assert _batches(seen, "isolated").count(["poison"]) == 2
    assert lab.nothing_more(url)


def test_a_reported_failure_is_read_again_from_there_and_given_up_with_what_is_behind_it(
    lab: StreamLab, seen: Path
) -> None:
    topic = lab.client("sns").create_topic(Name="reported")["TopicArn"]
    url, queue = lab.queue("reported-dead")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    lab.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    lab.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    _map(
        lab,
        "reported",
        ["a", "report", "b", "c"],
        BatchSize=4,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": topic}},
    )

    told = json.loads(json.loads(lab.messages(url, 1)[0])["Message"])

    assert told["DDBStreamBatchInfo"]["batchSize"] == 3
    assert "functionError" not in told["responseContext"]
    assert _batches(seen, "reported") == [["a", "report", "b", "c"], ["report", "b", "c"]]


def test_a_bucket_gets_the_records_whole_at_the_key_that_aws_gives_them(lab: StreamLab, seen: Path) -> None:
    lab.client("s3").create_bucket(Bucket="kept-whole")
    destination = {"OnFailure": {"Destination": "arn:aws:s3:::kept-whole"}}
    options: dict[str, Any] = {"MaximumRetryAttempts": 0, "DestinationConfig": destination}
    large, stream = "ß" * 190_000, lab.table("whole")
    lab.put("whole", ["poison"], text={"S": large})
    lab.put("whole", ["poison"], text={"S": large + "!"}, number={"N": str(10**37 + 1)})
    mapping = _read(lab, stream, **options)

    s3 = lab.client("s3")
    (listed,) = eventually(lambda: s3.list_objects_v2(Bucket="kept-whole").get("Contents"))
    told = json.loads(s3.get_object(Bucket="kept-whole", Key=listed["Key"])["Body"].read())
    day = time.strftime("%Y/%m/%d/%Y-%m-%dT", time.gmtime())

    shard = told["DDBStreamBatchInfo"]["shardId"]
    assert listed["Key"].startswith(f"aws/lambda/{mapping}/{shard}/{day}")
    assert told["DDBStreamBatchInfo"]["batchSize"] == 2
    *_, last = json.loads(told["payload"])["Records"]
    assert last["dynamodb"]["OldImage"]["text"]["S"] == large
    assert last["dynamodb"]["NewImage"]["number"] == {"N": str(10**37 + 1)}


def test_without_a_limit_a_poison_record_holds_its_shard_up_until_the_mapping_gets_one(
    lab: StreamLab, seen: Path
) -> None:
    mapping = _map(lab, "stalled", ["poison", "behind"], BatchSize=1)

    eventually(lambda: len(_batches(seen, "stalled")) >= 3)
    stalled = _batches(seen, "stalled")
    lab.client("lambda").update_event_source_mapping(UUID=mapping, MaximumRetryAttempts=1)

    assert set(map(tuple, stalled)) == {("poison",)}
    eventually(lambda: _batches(seen, "stalled")[-1] == ["behind"])


def test_a_role_without_rights_on_the_stream_reads_nothing_until_it_has_them(lab: StreamLab) -> None:
    lab.function("may-not-read", "def handler(event, context): pass")
    mapping = _map(lab, "unread", ["a"], "may-not-read")
    get = lab.client("lambda").get_event_source_mapping

    eventually(lambda: "cannot read the stream" in get(UUID=mapping)["LastProcessingResult"])
    lab.allow("may-not-read-role", (READING, "*"))

    assert eventually(lambda: get(UUID=mapping)["LastProcessingResult"] == "OK")


@pytest.mark.parametrize(
    ("namespace", "metric", "dimension"),
    [
        ("AWS/Lambda", "IteratorAge", ("FunctionName", "reads")),
        ("AWS/Lambda", "Errors", ("FunctionName", "reads")),
        ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", ("TableName", "measured")),
    ],
)
def test_what_alarms_are_set_on_is_measured(
    lab: StreamLab, seen: Path, measured: str, namespace: str, metric: str, dimension: tuple[str, str]
) -> None:
    name, value = dimension
    lab.client("cloudwatch").put_metric_alarm(
        AlarmName=metric,
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold={"IteratorAge": 0, "Errors": 1, "ConsumedWriteCapacityUnits": 2}[metric],
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    assert evaluate_alarms(lab.account)[metric] == "ALARM"


@pytest.fixture(scope="module")
def measured(lab: StreamLab, seen: Path) -> str:
    """A table with an item of more than 1 KB that its function has failed on."""
    _map(lab, "measured", MaximumRetryAttempts=0)
    lab.put("measured", ["poison"], text={"S": "x" * 1024})
    eventually(lambda: _batches(seen, "measured"))
    return "measured"


def test_a_slow_message_holds_up_its_own_group_and_no_other(
    lab: StreamLab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url, queue = lab.queue("groups.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    taken = tmp_path_factory.mktemp("taken") / "messages"
    rights = ({"Effect": "Allow", "Action": "sqs:*", "Resource": queue},)
    role = lab.functions.role("takes-messages", rights)
    lab.functions.create(
        "takes-messages", role, TAKES_MESSAGES, Environment={"Variables": {"SEEN": str(taken)}}
    )
    for group, body in (("a", "slow"), ("a", "after-slow"), ("b", "first"), ("b", "second")):
        lab.client("sqs").send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group)
    lab.client("lambda").create_event_source_mapping(
        EventSourceArn=queue, FunctionName="takes-messages", BatchSize=1
    )

    def all_taken() -> list[str]:
        bodies = taken.read_text().splitlines() if taken.exists() else []
        return bodies if len(bodies) == 4 else []

    assert eventually(all_taken) == ["first", "second", "slow", "after-slow"]
