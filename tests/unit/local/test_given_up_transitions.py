"""What was given up is listed without its content, given again in order, and stays while that fails."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.cli.transitions import given_up
from local.cli.transitions.given_up import GivenUpBatches, Resent

SAMPLE = json.loads(
    (Path(__file__).parents[3] / "events" / "transitions" / "records_were_given_up.json").read_text("utf-8")
)
FUNCTION = "healthlake-hub-DetectTransitionsFunction-1A2B3C4D5E6F"


class Aws:
    """S3 and Lambda in one: objects by key, and a function that answers what it is told."""

    def __init__(self, objects: dict[str, bytes], answers: list[Any]) -> None:
        self.objects, self.answers = dict(objects), answers
        self.given: list[Any] = []

    def get_paginator(self, _operation: str) -> Aws:
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        yield {"Contents": [{"Key": key} for key in sorted(self.objects)]}

    def get_object(self, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"Body": io.BytesIO(self.objects[Key])}

    def delete_object(self, Key: str, **_: Any) -> None:  # noqa: N803
        del self.objects[Key]

    def put_object(self, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803
        self.objects[Key] = Body

    def invoke(self, Payload: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.given.append(json.loads(Payload)["Records"])
        return {
            "Payload": io.BytesIO(b'{"batchItemFailures": []}'),
            **(self.answers.pop(0) if self.answers else {}),
        }


def batches(aws: Aws) -> GivenUpBatches:
    return GivenUpBatches(aws, aws, "bucket", FUNCTION)


def stored(**changed: Any) -> dict[str, bytes]:
    return {"aws/lambda/1": json.dumps({**SAMPLE, **changed}).encode()}


def test_a_batch_is_listed_without_what_it_says() -> None:
    (found,) = batches(Aws(stored(), [])).listed()
    assert (found.key, found.condition, len(found.records)) == ("aws/lambda/1", "RetryAttemptsExhausted", 1)
    assert "specimen" not in repr(found)


@pytest.mark.parametrize(
    "objects",
    [
        {},
        {"aws/lambda/1": b"no JSON"},
        {"aws/lambda/1": b"[]"},
        stored(
            requestContext={
                "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:other",
                "condition": "x",
            }
        ),
        stored(payload="{}"),
    ],
)
def test_what_is_none_of_the_function_is_left_alone(objects: dict[str, bytes]) -> None:
    assert list(batches(Aws(objects, [])).listed()) == []


def test_what_was_sent_on_is_gone() -> None:
    aws = Aws(stored(), [])
    (found,) = batches(aws).listed()
    assert batches(aws).resend(found) == Resent(1)
    assert aws.given == [json.loads(SAMPLE["payload"])["Records"]]
    assert aws.objects == {}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            {"Payload": io.BytesIO(b'{"batchItemFailures": [{"itemIdentifier": "1"}]}')},
            "records were not sent on",
        ),
        (
            {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorType": "InvalidRules"}')},
            "InvalidRules",
        ),
    ],
)
def test_what_fails_again_stays_with_its_reason(answer: dict[str, Any], reason: str) -> None:
    aws = Aws(stored(), [answer])
    (found,) = batches(aws).listed()
    assert batches(aws).resend(found) == Resent(0, 1, reason)
    assert aws.objects == stored()


def test_a_large_batch_is_given_in_pieces_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_up, "PIECE_BYTES", 100)
    records = [{"number": number, "text": "x" * 60} for number in range(5)]
    aws = Aws(stored(payload=json.dumps({"Records": records})), [])
    (found,) = batches(aws).listed()
    assert batches(aws).resend(found) == Resent(5)
    assert [record for piece in aws.given for record in piece] == records
    assert len(aws.given) > 1


def _of(*numbers: str) -> list[dict[str, Any]]:
    return [{"dynamodb": {"SequenceNumber": number}} for number in numbers]


class Poisoned(Aws):
    """A function that sends on everything but one record, and reports or dies of that."""

    def __init__(self, objects: dict[str, bytes], poison: str, dies: bool) -> None:
        super().__init__(objects, [])
        self.poison, self.dies = poison, dies
        self.sent: list[str] = []

    def invoke(self, Payload: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        numbers = [one["dynamodb"]["SequenceNumber"] for one in json.loads(Payload)["Records"]]
        self.given.append(numbers)
        if self.poison not in numbers:
            self.sent.extend(numbers)
            return {"Payload": io.BytesIO(b'{"batchItemFailures": []}')}
        if self.dies:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorType": "Died"}')}
        told = {"batchItemFailures": [{"itemIdentifier": self.poison}]}
        return {"Payload": io.BytesIO(json.dumps(told).encode())}


@pytest.mark.parametrize(
    ("dies", "given", "reason"),
    [
        (False, [["1", "2", "3", "4"], ["2"], ["3"], ["4"]], "records were not sent on"),
        (True, [["1", "2", "3", "4"], ["1"], ["2"], ["3"], ["4"]], "Died"),
    ],
)
def test_what_stands_behind_a_record_that_fails_is_sent_on_without_it(
    dies: bool, given: list[list[str]], reason: str
) -> None:
    aws = Poisoned(stored(payload=json.dumps({"Records": _of("1", "2", "3", "4")})), "2", dies)
    (found,) = batches(aws).listed()

    assert batches(aws).resend(found) == Resent(3, 1, reason)

    assert aws.given == given
    assert {"3", "4"} <= set(aws.sent)
    (left,) = batches(aws).listed()
    assert list(left.records) == _of("2")
    assert (left.at, left.condition) == (found.at, found.condition)
    assert batches(aws).resend(left) == Resent(0, 1, reason)
    aws.poison = ""
    assert batches(aws).resend(left) == Resent(1)
    assert aws.objects == {}
