"""Which messages are the same one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlq_redrive.dead_letter import KINDS, REDRIVE_ATTRIBUTE, DeadLetter
from dlq_redrive.message_identity import message_identity

QUEUE = "arn:aws:sqs:us-east-1:123456789012:hub-dead"

texts = st.text(max_size=12)
attribute_values = st.one_of(
    st.builds(lambda value: {"DataType": "String", "StringValue": value}, st.text(min_size=1, max_size=8)),
    st.builds(lambda value: {"DataType": "Binary", "BinaryValue": value}, st.binary(min_size=1, max_size=8)),
)
names = st.text("abcXYZ._-", min_size=1, max_size=6)
letters = st.builds(
    DeadLetter,
    message_id=texts,
    receipt_handle=texts,
    body=texts,
    message_attributes=st.dictionaries(names, attribute_values, max_size=4),
    attributes=st.dictionaries(st.sampled_from(["MessageGroupId"]), texts, max_size=1),
)


def identity(letter: DeadLetter, kind: str = "sqs", queue: str = QUEUE) -> str:
    return message_identity(queue, kind, letter)


@given(letters, st.sampled_from(KINDS), texts)
def test_the_ids_that_sqs_gives_do_not_matter(letter: DeadLetter, kind: str, other: str) -> None:
    moved = dataclasses.replace(
        letter,
        message_id=other,
        receipt_handle=other,
        attributes={**letter.attributes, "SentTimestamp": "1", "MessageDeduplicationId": other},
    )
    assert identity(moved, kind) == identity(letter, kind)


@given(letters, st.sampled_from(KINDS), st.integers(1, 20))
def test_the_mark_of_a_redrive_does_not_matter(letter: DeadLetter, kind: str, redrives: int) -> None:
    marked = dataclasses.replace(letter, message_attributes=letter.marked(redrives))
    assert REDRIVE_ATTRIBUTE in marked.message_attributes
    assert identity(marked, kind) == identity(letter, kind)


@given(letters, letters)
def test_messages_of_a_queue_are_the_same_only_when_content_and_group_are(
    one: DeadLetter, other: DeadLetter
) -> None:
    def content(letter: DeadLetter) -> Any:
        return letter.body, letter.message_attributes, letter.group_id

    assert (identity(one) == identity(other)) == (content(one) == content(other))


@given(letters)
def test_the_order_of_attributes_does_not_matter(letter: DeadLetter) -> None:
    turned = dict(reversed(list(letter.message_attributes.items())))
    assert identity(dataclasses.replace(letter, message_attributes=turned)) == identity(letter)


@given(letters, st.sampled_from(KINDS))
def test_another_queue_has_other_identities(letter: DeadLetter, kind: str) -> None:
    assert identity(letter, kind) != identity(letter, kind, QUEUE + "-2")


def test_an_identity_is_64_hexadecimal_digits(letter_with: Any) -> None:
    assert len(bytes.fromhex(identity(letter_with()))) == 32


VARYING: dict[str, tuple[Any, dict[str, str], Any, dict[str, str]]] = {
    "rule": (
        {"id": "e"},
        {"TARGET_ARN": "t", "ERROR_CODE": "A", "RETRY_ATTEMPTS": "1"},
        {"id": "e"},
        {"TARGET_ARN": "t", "ERROR_CODE": "B", "RETRY_ATTEMPTS": "185"},
    ),
    "schedule": (
        {},
        {"SCHEDULE_ARN": "s", "SCHEDULED_TIME": "12:00", "EXECUTION_ID": "1"},
        {},
        {"SCHEDULE_ARN": "s", "SCHEDULED_TIME": "12:00", "EXECUTION_ID": "2"},
    ),
    "async": (
        {"requestContext": {"functionArn": "f", "requestId": "1"}, "requestPayload": {"a": 1}},
        {"RequestID": "1"},
        {"requestContext": {"functionArn": "f", "requestId": "2"}, "requestPayload": {"a": 1}},
        {"RequestID": "2"},
    ),
    "bus": (
        {"id": "1", "source": "hub", "detail-type": "t", "detail": {"a": 1}, "time": "12:00"},
        {},
        {"id": "2", "source": "hub", "detail-type": "t", "detail": {"a": 1}, "time": "12:00"},
        {"ERROR_CODE": "x"},
    ),
    "stream": (
        {
            "requestContext": {"functionArn": "f", "requestId": "1"},
            "DDBStreamBatchInfo": {
                "streamArn": "s",
                "shardId": "h",
                "startSequenceNumber": "1",
                "endSequenceNumber": "2",
            },
        },
        {},
        {
            "timestamp": "later",
            "requestContext": {"functionArn": "f", "requestId": "2"},
            "DDBStreamBatchInfo": {
                "streamArn": "s",
                "shardId": "h",
                "startSequenceNumber": "1",
                "endSequenceNumber": "2",
            },
        },
        {},
    ),
}


@pytest.mark.parametrize("kind", VARYING)
def test_what_tells_of_one_failure_only_does_not_matter(kind: str, letter_with: Any) -> None:
    body, attributes, later_body, later_attributes = VARYING[kind]
    first = letter_with(body, message_attributes=attributes)
    again = letter_with(later_body, message_attributes=later_attributes)
    assert identity(first, kind) == identity(again, kind)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("rule", {"TARGET_ARN": "t"}, {"TARGET_ARN": "u"}),
        ("schedule", {"SCHEDULED_TIME": "12:00"}, {"SCHEDULED_TIME": "12:05"}),
    ],
)
def test_another_target_or_occurrence_is_another_message(
    kind: str, one: dict[str, str], other: dict[str, str], letter_with: Any
) -> None:
    same_body = json.dumps({"startedBy": "schedule"})
    first = letter_with(same_body, message_attributes=one)
    second = letter_with(same_body, message_attributes=other)
    assert identity(first, kind) != identity(second, kind)


def test_digits_of_a_payload_matter(letter_with: Any) -> None:
    record = '{"requestContext": {"functionArn": "f"}, "requestPayload": {"value": %s}}'
    identities = {identity(letter_with(record % digits), "async") for digits in ("1.1", "1.10", "1.100")}
    assert len(identities) == 3
