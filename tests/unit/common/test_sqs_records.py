"""Batches of SQS messages: what fails alone is delivered again alone."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import InvalidInput
from common.sqs_records import answer_batch

MARK = "Jane-Example-1970"


def batch(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {"messageId": f"message-{number}", "body": body, "eventSource": "aws:sqs"}
            for number, body in enumerate(bodies)
        ]
    }


def failed(answer: Any) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_every_message_is_handled_in_its_order() -> None:
    handled: list[str] = []
    answer = answer_batch(batch("a", "b", "c"), lambda record: handled.append(record.body))
    assert handled == ["a", "b", "c"]
    assert failed(answer) == []


def raise_for(record: Any) -> None:
    if record.body == "bad":
        raise InvalidInput("no")
    if record.body == "broken":
        raise ValueError(f"cannot read {MARK}")


def test_only_messages_that_failed_are_left_in_the_queue() -> None:
    answer = answer_batch(batch("a", "bad", "c", "broken"), raise_for)
    assert failed(answer) == ["message-1", "message-3"]


def test_a_batch_that_fails_as_a_whole_is_answered_and_not_raised() -> None:
    assert failed(answer_batch(batch("bad", "bad"), raise_for)) == ["message-0", "message-1"]


def test_the_log_names_the_message_and_nothing_of_what_it_says(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    answer_batch(batch("broken"), raise_for)
    logged = [vars(record) for record in caplog.records]
    assert "message-0" in [record.get("message_id") for record in logged]
    printed = capsys.readouterr()
    assert MARK not in repr(logged) + printed.out + printed.err
