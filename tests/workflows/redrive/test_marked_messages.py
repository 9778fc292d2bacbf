"""No body and no attribute of a dead letter is in a history, an output, a log, a metric, a key or a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from common import observability
from common.observability import logger
from dlq_redrive import redrive_messages
from dlq_redrive.senders import Sender
from local.testing.marked_records import MARKS, mark
from local.testing.mocked_hub import BUCKET, REGION, TABLE
from local.testing.redrive_hub import RedriveHub
from local.testing.redrive_queues import Queue


@pytest.fixture(autouse=True)
def _own_output(redrive: RedriveHub, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """A service of its own gives a logger of its own, which writes to the output of this test."""
    tools: tuple[Any, ...] = (observability.logger, observability.metrics)
    redrive.configure(POWERTOOLS_SERVICE_NAME=f"marked-{id(redrive)}", POWERTOOLS_LOG_LEVEL="DEBUG")
    for tool in tools:
        tool.cache_clear()
    yield
    for tool in tools:
        tool.cache_clear()


def send_marked(redrive: RedriveHub, queue: Queue, number: int) -> None:
    redrive.sqs.send_message(
        QueueUrl=queue.url,
        MessageBody=json.dumps({"n": number, "secret": mark("body")}),
        MessageAttributes={
            "secret": {"DataType": "String", "StringValue": mark("attribute")},
            "raw": {"DataType": "Binary", "BinaryValue": mark("binary").encode()},
            mark("name"): {"DataType": "String", "StringValue": "x"},
        },
    )


def leaks(redrive: RedriveHub, captured: pytest.CaptureFixture[str]) -> list[str]:
    """Every place with a mark in it that is neither a queue nor the body of an object."""
    found: list[tuple[str, Any]] = [("printed", captured.readouterr())]
    for execution in redrive.bench.engine.executions():
        found.append(("execution", [execution.output_text, execution.error, execution.cause]))
        found += [("history", event) for event in execution.events]
    found += [(call.function, [call.event, call.result, call.error]) for call in redrive.bench.invocations]
    found += [("status", event) for event in redrive.bench.status_events]
    found += [("table", item) for item in boto3.client("dynamodb", REGION).scan(TableName=TABLE)["Items"]]
    s3 = boto3.client("s3", REGION)
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        head = s3.head_object(Bucket=BUCKET, Key=entry["Key"])
        found.append(("object", [entry["Key"], head["Metadata"], head["ContentType"]]))
    marks = [(place, MARKS.search(repr(content))) for place, content in found]
    return [f"{place}: {seen.string[max(0, seen.start() - 80) :][:200]}" for place, seen in marks if seen]


@pytest.mark.parametrize("mode", ["bulk", "counted"])
def test_a_redrive_that_sends_back_leaves_no_mark(
    redrive: RedriveHub, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    dead, work = redrive.pair()
    send_marked(redrive, dead, 1) if mode == "counted" else send_marked(redrive, work, 1)
    redrive.die(work)

    assert redrive.run({"mode": mode}).path[-1] == "Redriven"
    assert leaks(redrive, capsys) == []


def test_dry_runs_returns_and_quarantine_leave_no_mark(
    redrive: RedriveHub, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, work = redrive.pair()
    send_marked(redrive, work, 1)
    redrive.die(work)
    consumer = redrive.consumer(work, takes=lambda _: False)
    for kind in ("rule", "async", "schedule", "stream", "pipe", "bus"):
        send_marked(redrive, redrive.queue(kind, kind=kind), 1)

    ends = [redrive.run({"dryRun": True}).path[-1]]
    while redrive.bodies(dead):
        redrive.settled_by(consumer)
        ends.append(redrive.run({"queueArn": dead.arn}).path[-1])
        redrive.bench.call_faults.forget()
    ends.append(redrive.run().path[-1])

    assert ends == ["Dry Run Reported", *["Returned To DLQ"] * 3, "Quarantined", "Quarantined"]
    assert MARKS.search(json.dumps(redrive.quarantined()))
    assert leaks(redrive, capsys) == []


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError])
def test_an_error_that_quotes_a_message_leaves_no_mark(
    redrive: RedriveHub,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    _, work = redrive.pair()
    send_marked(redrive, work, 1)
    redrive.die(work)

    def quoting(self: Sender, _way: Any, letter: Any, *_: Any) -> None:
        raise error(letter.body)

    monkeypatch.setattr(Sender, "prepare", quoting)

    assert redrive.run({"mode": "counted"}).path[-1] == "Redrive Failed"
    assert leaks(redrive, capsys) == []


def test_a_leak_is_found(redrive: RedriveHub, capsys: pytest.CaptureFixture[str]) -> None:
    _, work = redrive.pair()
    send_marked(redrive, work, 1)
    redrive.die(work)
    handler = redrive_messages.lambda_handler

    def leaking(event: Any, context: Any) -> Any:
        logger().info("a leak", leak=mark("printed"))
        return {**handler(event, context), "leak": mark("result")}

    redrive.bench.functions["RedriveMessagesFunction"] = leaking
    redrive.run({"mode": "counted"})

    places = {leak.partition(":")[0] for leak in leaks(redrive, capsys)}
    assert {"printed", "history", "RedriveMessagesFunction"} <= places
