"""The chain of checks over messages that SQS gives new ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from common import aws_clients
from healthlake_export import check_export
from healthlake_export.check_messages import Check, CheckQueue
from healthlake_export.export_watch import ExportWatcher

ME = "arn:me"
CHECK = Check(ME, "attempt", 0, 15)


@pytest.fixture
def checks(hub: Any, exporting_run: Any) -> CheckQueue:
    """The check queue, while a run exports."""
    exporting_run(ME)
    return CheckQueue(aws_clients.sqs(), hub.settings.check_queue_url)


@pytest.fixture
def bodies(hub: Any) -> Callable[[], list[str]]:
    """The bodies of the messages in the queue."""

    def read() -> list[str]:
        name = hub.settings.check_queue_url.rsplit("/", 1)[-1]
        queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue(name)
        return [message.body for message in queue._messages]

    return read


def test_a_check_sent_back_from_the_dead_letter_queue_goes_on_where_the_chain_stopped(
    checks: CheckQueue, bodies: Any, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks.send(CHECK)
    (body,) = bodies()
    outcomes = iter([False, True])

    def look(*_: Any) -> bool:
        if not next(outcomes):
            raise OSError
        return True

    monkeypatch.setattr(ExportWatcher, "_look", look)

    def deliver(message_id: str) -> Any:
        record = {"messageId": message_id, "body": body, "eventSource": "aws:sqs"}
        return check_export.lambda_handler({"Records": [record]}, lambda_context)

    assert deliver("first") == {"batchItemFailures": [{"itemIdentifier": "first"}]}
    assert deliver("moved back under another id") == {"batchItemFailures": []}
    assert [json.loads(one)["check"]["sequence"] for one in bodies()] == [0, 1]


def test_a_check_that_was_sent_twice_is_followed_once(
    checks: CheckQueue, bodies: Any, lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExportWatcher, "_look", lambda *_: True)
    checks.send(CHECK)
    checks.send(CHECK)

    for body in bodies():
        record = {"messageId": "the same by chance", "body": body, "eventSource": "aws:sqs"}
        check_export.lambda_handler({"Records": [record]}, lambda_context)

    assert [json.loads(one)["check"]["sequence"] for one in bodies()] == [0, 0, 1]


def test_an_event_without_a_job_is_taken_out_of_the_check_queue(
    invoke: Callable[..., Any], sample_event: Any
) -> None:
    record = sample_event("healthlake_export/job_reported_completed")["Records"][0]
    body = {"source": "aws.healthlake", "detail-type": "Data Store Active", "detail": {"datastoreId": "x"}}

    answer = invoke(check_export, "job_reported_completed", Records=[{**record, "body": json.dumps(body)}])

    assert answer == {"batchItemFailures": []}
