"""Objects of the quarantine, written and read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidInput
from dlq_redrive.dead_letter import DeadLetter
from dlq_redrive.dead_letter_quarantine import QuarantinedLetter, require_key
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.redrive_counts import Attempt, Redrives

IDENTITY = "a" * 64
KEY = f"dead-letters/hub-dead/{IDENTITY}-5fea7756-0ea4-451a-a703-a558b933e274.json"

values = st.one_of(
    st.builds(lambda text: {"DataType": "String", "StringValue": text}, st.text(min_size=1)),
    st.builds(lambda octets: {"DataType": "Binary", "BinaryValue": octets}, st.binary(min_size=1)),
)
quarantined = st.builds(
    QuarantinedLetter,
    queue_arn=st.just("arn:aws:sqs:us-east-1:123456789012:hub-dead"),
    kind=st.just("sqs"),
    message_id=st.uuids().map(str),
    identity=st.just(IDENTITY),
    body=st.text(),
    message_attributes=st.dictionaries(st.text(min_size=1), values, max_size=3),
    attributes=st.dictionaries(st.text(), st.text(), max_size=3),
    first_failed_at=st.just("2026-03-01T12:00:00.000Z"),
    last_failed_at=st.just("2026-03-01T12:00:00.000Z"),
    redrives=st.integers(0, 20),
    history=st.just(({"at": "now", "execution": "one", "messageId": "m"},)),
    reason=st.sampled_from([reason.value for reason in Reason]),
    quarantined_at=st.just("2026-03-01T12:00:00.000Z"),
    bulk_at=st.none() | st.just("2026-02-01T12:00:00.000Z"),
)


@given(quarantined)
def test_what_is_written_is_read_whole(letter: QuarantinedLetter) -> None:
    assert QuarantinedLetter.from_json(letter.to_json()) == letter


@given(quarantined)
def test_every_key_is_one_that_is_read(letter: QuarantinedLetter) -> None:
    assert require_key(letter.key) == letter.key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "quarantine/run/1-000.ndjson",
        "exports/a.ndjson",
        "dead-letters/",
        f"dead-letters/{IDENTITY}.json",
        KEY.replace("hub-dead", ".."),
        f"../{KEY}",
        KEY + "\n",
        f"{KEY}x",
        KEY.replace("a" * 64, "../../exports/a"),
    ],
)
def test_a_key_outside_of_the_quarantine_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="begins with dead-letters/"):
        require_key(key)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"reason": "NOT_JSON"}', b"\xff", b"[" * 100_000, b'{"messageAttributes": []}'],
)
def test_an_object_that_is_no_dead_letter_is_refused_without_a_quote(content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"^The object holds no dead letter as quarantine writes them\.$"):
        QuarantinedLetter.from_json(content)


@pytest.mark.parametrize("kind", ["unknown", "", None, []])
def test_an_object_of_a_kind_that_nobody_knows_is_refused(
    queue_of: Any, letter_with: Any, noon: datetime, kind: Any
) -> None:
    kept = QuarantinedLetter.of(queue_of(), letter_with(), IDENTITY, Redrives(), Reason.TOO_OLD, noon)
    content = json.dumps({**json.loads(kept.to_json()), "kind": kind}).encode()

    with pytest.raises(InvalidInput, match="holds no dead letter"):
        QuarantinedLetter.from_json(content)


def test_a_letter_says_when_it_first_and_last_failed(queue_of: Any, letter_with: Any, noon: datetime) -> None:
    received = str(int(datetime(2026, 3, 1, 11, 30, tzinfo=UTC).timestamp() * 1000))
    letter = letter_with(attributes={"ApproximateFirstReceiveTimestamp": received})
    attempt = Attempt("2026-02-28T09:00:00.000Z", "one", "m1", "call")
    before = Redrives((attempt,), first_failed_at="2026-02-28T08:00:00.000Z")
    kept = QuarantinedLetter.of(queue_of(), letter, IDENTITY, before, Reason.TOO_OLD, noon)
    assert (kept.first_failed_at, kept.last_failed_at) == (
        "2026-02-28T08:00:00.000Z",
        "2026-03-01T11:30:00.000Z",
    )
    assert (kept.redrives, kept.history, kept.reason) == (1, (attempt.entry,), "TOO_OLD")


def test_a_letter_of_another_service_failed_when_it_was_sent(
    queue_of: Any, letter_with: Any, noon: datetime
) -> None:
    kept = QuarantinedLetter.of(queue_of("rule"), letter_with(), IDENTITY, Redrives(), Reason.TOO_OLD, noon)
    assert kept.last_failed_at == kept.first_failed_at == "2026-03-01T11:00:00.000Z"


def test_a_letter_becomes_the_message_again(queue_of: Any, letter_with: Any, noon: datetime) -> None:
    letter: DeadLetter = letter_with("b", message_attributes={"a": "1"}, attributes={"MessageGroupId": "g"})
    kept = QuarantinedLetter.of(queue_of(), letter, IDENTITY, Redrives(), Reason.TOO_OLD, noon)
    again = QuarantinedLetter.from_json(kept.to_json()).to_letter()
    assert (again.body, again.message_attributes, again.group_id) == ("b", letter.message_attributes, "g")


def test_an_edited_letter_keeps_its_key(queue_of: Any, letter_with: Any, noon: datetime) -> None:
    kept = QuarantinedLetter.of(queue_of(), letter_with(), IDENTITY, Redrives(), Reason.TOO_OLD, noon)
    edited = kept.edited("mended", "somebody", noon)
    assert (edited.key, edited.body, edited.edits[0]["body"]) == (kept.key, "mended", kept.body)


def test_a_letter_shows_no_content(queue_of: Any, letter_with: Any, noon: datetime) -> None:
    letter = letter_with("SECRET", message_attributes={"a": "SECRET"})
    kept = QuarantinedLetter.of(queue_of(), letter, IDENTITY, Redrives(), Reason.TOO_OLD, noon)
    assert "SECRET" not in repr(kept) + kept.key
    assert json.loads(kept.to_json())["body"] == "SECRET"
