"""Pipes that fail: what is tried again, divided, given up and told, and what their roles may not do.

AWS documentation: Amazon EventBridge User Guide, «Amazon EventBridge Pipes error handling and
troubleshooting», «Amazon EventBridge Pipes batching and concurrency».
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dlq_redrive.failure_records import PositionRecord, read_record
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.stream_records import read_records
from local.account.testing import running_account
from local.cloudwatch.testing import evaluate_alarms
from local.pipes.testing import READING, StreamLab, eventually

ENRICHES = """
import os, time
def handler(records, context):
    ids = [one["dynamodb"]["Keys"]["id"]["S"] for one in records]
    if any(one.startswith("poison") for one in ids):
        raise ValueError("as told")
    if "slow" in ids:
        open(SEEN + "/began", "w").close()
        while not os.path.exists(SEEN + "/go"):
            time.sleep(0.02)
    return [{"id": one, "n": "x"} if not one.startswith("no-detail") else one for one in ids]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamLab]:
    parts = ("lambda_runtime", "cloudwatch", "sqs", "streams", "pipes")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        yield StreamLab(account)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the enrichment shows that it has begun with what is slow, and is told to go on."""
    return tmp_path_factory.mktemp("seen")


@pytest.fixture(scope="module")
def enriches(lab: StreamLab, seen: Path) -> str:
    return lab.function("enriches", f"SEEN = {str(seen)!r}\n{ENRICHES}")


@pytest.fixture(scope="module")
def role(lab: StreamLab) -> str:
    """A role with every right."""
    return lab.role("everything", ("*", "*"))


def _pipe(lab: StreamLab, name: str, role: str, target: str, written: Sequence[str] = (), **more: Any) -> str:
    """A pipe that reads a new table's stream, in which something is written already; returns its ARN."""
    stream = lab.table(name)
    lab.put(name, written)
    source = {"StartingPosition": "TRIM_HORIZON", "BatchSize": 10, **more.pop("source", {})}
    lab.client("pipes").create_pipe(
        Name=name,
        RoleArn=role,
        Source=stream,
        SourceParameters={"DynamoDBStreamParameters": source},
        Target=target,
        **more,
    )
    return stream


def _ids(bodies: list[str]) -> list[str]:
    return [json.loads(body)["detail"]["id"] for body in bodies]


def test_a_poison_record_is_isolated_told_and_counted_and_everything_else_arrives(
    lab: StreamLab, enriches: str, role: str
) -> None:
    (bus, url), (dead_url, dead) = lab.bus("poison"), lab.queue("poison-dead")
    source = {
        "OnPartialBatchItemFailure": "AUTOMATIC_BISECT",
        "MaximumRetryAttempts": 1,
        "DeadLetterConfig": {"Arn": dead},
    }
    lab.client("cloudwatch").put_metric_alarm(
        AlarmName="failed",
        Namespace="AWS/EventBridge/Pipes",
        MetricName="ExecutionFailed",
        Dimensions=[{"Name": "PipeName", "Value": "poison"}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    assert evaluate_alarms(lab.account)["failed"] == "OK"

    written = ["a", "poison", "b", "c"]
    stream = _pipe(lab, "poison", role, bus, written, Enrichment=enriches, source=source)
    (told,) = lab.messages(dead_url, 1)
    arrived = lab.messages(url, 3)
    record = read_record(told, PositionRecord)
    assert record is not None
    read_again = read_records(lab.client("dynamodbstreams"), record.DDBStreamBatchInfo)

    assert _ids(arrived) == ["a", "b", "c"]
    assert not isinstance(read_again, Reason)
    assert [one["dynamodb"]["Keys"] for one in read_again] == [{"id": {"S": "poison"}}]
    assert record.context.partnerResourceArn.endswith(":pipe/poison")
    assert (record.DDBStreamBatchInfo.streamArn, record.DDBStreamBatchInfo.batchSize) == (stream, 1)
    assert json.loads(told)["context"]["condition"] == "RetryAttemptsExhausted"
    assert evaluate_alarms(lab.account)["failed"] == "ALARM"
    assert lab.nothing_more(dead_url)


def test_entries_that_a_bus_does_not_take_are_tried_again_alone(
    lab: StreamLab, enriches: str, role: str
) -> None:
    (bus, url), (dead_url, dead) = lab.bus("partly"), lab.queue("partly-dead")
    source = {
        "MaximumRetryAttempts": 1,
        "DeadLetterConfig": {"Arn": dead},
    }
    _pipe(lab, "partly", role, bus, ["a", "no-detail", "b"], Enrichment=enriches, source=source)

    (told,) = lab.messages(dead_url, 1)

    assert sorted(_ids(lab.messages(url, 2))) == ["a", "b"]
    assert json.loads(told)["DDBStreamBatchInfo"]["batchSize"] == 1
    assert lab.nothing_more(url)


def test_without_a_limit_a_poison_record_holds_its_shard_up(lab: StreamLab, enriches: str, role: str) -> None:
    bus, url = lab.bus("stalled")
    _pipe(lab, "stalled", role, bus, Enrichment=enriches, source={"BatchSize": 1})
    lab.put("stalled", ["poison", "behind"])
    assert lab.nothing_more(url)

    source = {"MaximumRetryAttempts": 0, "BatchSize": 1}
    lab.client("pipes").update_pipe(
        Name="stalled", RoleArn=role, SourceParameters={"DynamoDBStreamParameters": source}
    )

    assert _ids(lab.messages(url, 1)) == ["behind"]


def test_every_right_that_the_role_lacks_fails_its_call(lab: StreamLab, enriches: str) -> None:
    (bus, url), (dead_url, dead) = lab.bus("rights"), lab.queue("rights-dead")
    role = lab.role("rights", ("sqs:SendMessage", dead))
    source = {"MaximumRetryAttempts": 0, "DeadLetterConfig": {"Arn": dead}, "BatchSize": 1}
    stream = _pipe(lab, "rights", role, bus, Enrichment=enriches, source=source)
    described = lab.client("pipes").describe_pipe
    lab.put("rights", ["unread"])
    eventually(lambda: "dynamodb:DescribeStream" in described(Name="rights").get("StateReason", ""))
    dead_letters = ("sqs:SendMessage", dead)

    lab.allow("rights", dead_letters, (READING, stream))
    without_enrichment = lab.messages(dead_url, 1)
    lab.allow("rights", dead_letters, (READING, stream), ("lambda:InvokeFunction", enriches))
    lab.put("rights", ["not-put"])
    without_target = lab.messages(dead_url, 1)
    lab.allow(
        "rights",
        dead_letters,
        (READING, stream),
        ("lambda:InvokeFunction", enriches),
        ("events:PutEvents", bus),
    )
    lab.put("rights", ["put"])

    assert _ids(lab.messages(url, 1)) == ["put"]
    assert (len(without_enrichment), len(without_target)) == (1, 1)


def test_an_enrichment_that_has_no_room_is_waited_for_and_costs_no_retry(
    lab: StreamLab, enriches: str, role: str
) -> None:
    (bus, url), (dead_url, dead) = lab.bus("throttled"), lab.queue("throttled-dead")
    lab.client("lambda").put_function_concurrency(FunctionName="enriches", ReservedConcurrentExecutions=0)
    source = {"MaximumRetryAttempts": 0, "DeadLetterConfig": {"Arn": dead}}
    try:
        _pipe(lab, "throttled", role, bus, ["a"], Enrichment=enriches, source=source)
        eventually(lambda: _metric(lab, "throttled", "ExecutionThrottled") >= 2)
    finally:
        lab.client("lambda").delete_function_concurrency(FunctionName="enriches")

    assert _ids(lab.messages(url, 1)) == ["a"]
    assert lab.nothing_more(dead_url)
    assert _metric(lab, "throttled", "ExecutionFailed") == 0


def _metric(lab: StreamLab, pipe: str, name: str) -> float:
    """The sum of a pipe's metric."""
    now = datetime.now(UTC)
    points = lab.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/EventBridge/Pipes",
        MetricName=name,
        Dimensions=[{"Name": "PipeName", "Value": pipe}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def test_a_role_that_trusts_another_service_reads_nothing(lab: StreamLab) -> None:
    (bus, _), described = lab.bus("untrusted"), lab.client("pipes").describe_pipe
    role = lab.functions.role("trusts-functions", ({"Effect": "Allow", "Action": "*", "Resource": "*"},))
    _pipe(lab, "untrusted", role, bus)
    lab.put("untrusted", ["a"])

    assert eventually(lambda: "may not assume" in described(Name="untrusted").get("StateReason", ""))


def test_a_slow_enrichment_holds_no_other_pipe_up(
    lab: StreamLab, enriches: str, role: str, seen: Path
) -> None:
    (slow_bus, slow_url), (bus, url) = lab.bus("slow"), lab.bus("quick")
    _pipe(lab, "slow", role, slow_bus, ["slow"], Enrichment=enriches)
    eventually((seen / "began").exists)

    _pipe(lab, "quick", role, bus, ["quick"])
    lab.messages(url, 1)
    (seen / "go").touch()

    assert _ids(lab.messages(slow_url, 1)) == ["slow"]


def test_a_pipe_that_is_deleted_stops_and_one_of_its_name_begins_anew(lab: StreamLab, role: str) -> None:
    (bus, url), pipes = lab.bus("anew"), lab.client("pipes")
    stream = _pipe(lab, "anew", role, bus)
    lab.put("anew", ["a"])
    lab.messages(url, 1)

    pipes.stop_pipe(Name="anew")
    lab.put("anew", ["while-stopped"])
    assert lab.nothing_more(url)
    pipes.start_pipe(Name="anew")
    lab.messages(url, 1)
    pipes.delete_pipe(Name="anew")
    lab.put("anew", ["while-deleted"])
    latest = {"DynamoDBStreamParameters": {"StartingPosition": "LATEST"}}
    pipes.create_pipe(Name="anew", RoleArn=role, Source=stream, SourceParameters=latest, Target=bus)
    lab.put("anew", ["after"])

    (body,) = lab.messages(url, 1)
    assert json.loads(body)["detail"]["dynamodb"]["Keys"] == {"id": {"S": "after"}}
    assert lab.nothing_more(url)
