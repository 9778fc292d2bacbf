"""Notifications are read as S3 and SNS write them, whatever order and shape they come in."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.testing.upload_notifications import notification, s3_record, sns_event
from uploads.errors import UnreadableNotification
from uploads.notifications import Happened, ObjectEvent, notifications, object_events


def events(*records: dict[str, Any]) -> list[ObjectEvent]:
    (one,) = notifications(sns_event({"Records": list(records)}))
    return list(object_events(one))


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("uploads/lab/a+b.txt", "uploads/lab/a b.txt"),
        ("uploads/lab/a%2Bb.txt", "uploads/lab/a+b.txt"),
        ("uploads/lab/Bef%C3%BCnde+M%C3%BCller.pdf", "uploads/lab/Befünde Müller.pdf"),
        ("uploads/lab/100%25.txt", "uploads/lab/100%.txt"),
        ("uploads/lab/%F0%9F%A9%BA", "uploads/lab/🩺"),
    ],
)
def test_keys_are_decoded(written: str, key: str) -> None:
    (event,) = events(s3_record(key=key, written=written))
    assert event.key == key


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_any_key_comes_through(key: str) -> None:
    (event,) = events(s3_record(key=key, written=quote_plus(key, safe="/")))
    assert event.key == key


@pytest.mark.parametrize(
    ("name", "happened"),
    [
        ("ObjectCreated:Put", Happened.CREATED),
        ("ObjectCreated:CompleteMultipartUpload", Happened.CREATED),
        ("ObjectCreated:Copy", Happened.CREATED),
        ("ObjectRemoved:DeleteMarkerCreated", Happened.DELETED),
        ("ObjectRemoved:Delete", Happened.VERSION_DELETED),
        ("LifecycleExpiration:DeleteMarkerCreated", Happened.DELETED),
        ("s3:ObjectCreated:Put", Happened.CREATED),
    ],
)
def test_what_happened_is_in_the_events_name(name: str, happened: Happened) -> None:
    (event,) = events(s3_record(name=name))
    assert event.happened is happened


def test_a_deletion_without_versions_is_one_of_the_object() -> None:
    (event,) = events(s3_record(name="ObjectRemoved:Delete", version=None))
    assert event.happened is Happened.DELETED


def test_what_else_happens_to_objects_is_left_alone() -> None:
    assert events(s3_record(name="ObjectTagging:Put"), s3_record(name="ReducedRedundancyLostObject")) == []


def test_a_test_message_is_no_event() -> None:
    test = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-11-21T09:00:00.000Z",
        "Bucket": "b",
    }
    assert list(object_events(notification(test))) == []


def test_a_message_may_have_several_records() -> None:
    assert [one.key for one in events(s3_record(key="a/1"), s3_record(key="a/2"))] == ["a/1", "a/2"]


def test_a_dead_letter_of_the_subscription_is_read_as_it_lies_in_its_queue() -> None:
    letter = notification({"Records": [s3_record(key="a/1")]})
    assert notifications(letter) == [letter]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("0055AED6DCD90281E4", "0055AED6DCD90281E5"),
        ("0055AED6DCD90281", "0055AED6DCD90281E5"),
        ("0055AED6DCFFFF", "0055AED6DD"),
        ("0055aed6dcd90281e4", "0055AED6DCD90281E5"),
    ],
)
def test_of_two_sequencers_the_greater_is_later_padded_on_the_right(earlier: str, later: str) -> None:
    first, second = (events(s3_record(sequencer=one))[0].sequence for one in (earlier, later))
    assert first < second


@given(st.integers(0, 16**18 - 1), st.integers(0, 16**18 - 1))
def test_sequencers_of_one_length_compare_as_numbers(one: int, other: int) -> None:
    first, second = (events(s3_record(sequencer=f"{number:018X}"))[0].sequence for number in (one, other))
    assert (first < second) is (one < other)


def test_sequencers_that_differ_by_zeros_at_the_end_are_one() -> None:
    first, second = (events(s3_record(sequencer=one))[0].sequence for one in ("0055AE", "0055AE00"))
    assert first == second


def test_an_event_without_a_sequencer_stands_at_its_second() -> None:
    (without,) = events(s3_record(sequencer=None, time="2015-07-21T23:46:36.000Z"))
    assert without.sequencer == "0055AED9DC"


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": None},
        {"Records": [{}]},
        sns_event("no JSON"),
        sns_event([]),
        sns_event({"Records": [{}]}),
        sns_event({"Records": [s3_record(sequencer="no hex")]}),
        sns_event({"Records": [s3_record(sequencer="1" * 65)]}),
        sns_event({"Records": [s3_record(written="%FF%FE")]}),
        sns_event({"Records": [s3_record(time="yesterday")]}),
    ],
)
def test_what_is_no_notification_is_refused_without_its_words(event: dict[str, Any]) -> None:
    with pytest.raises(UnreadableNotification) as refusal:
        [list(object_events(one)) for one in notifications(event)]
    assert refusal.value.__cause__ is None
    assert json.dumps(event) not in str(refusal.value)


def test_a_key_is_in_no_description_of_an_event() -> None:
    (event,) = events(s3_record(key="uploads/lab/Maria Huber.pdf"))
    assert "Maria" not in repr(event)
