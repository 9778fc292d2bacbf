"""What becomes of a message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from common.instants import format_instant
from dlq_redrive.arns import Home
from dlq_redrive.dead_letter import REDRIVE_ATTRIBUTE
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.redrive_counts import Attempt, Redrives
from dlq_redrive.redrive_decision import Decider, Left
from dlq_redrive.ways_back import ToQueue, Ways

WORK = "arn:aws:sqs:us-east-1:123456789012:hub-work"
TARGET = {"TARGET_ARN": WORK}
NEVER = Redrives()
NOW = timedelta()
LONG_AGO = timedelta(days=3)

Decide = Callable[..., Any]


@pytest.fixture
def decide(queue_of: Any, letter_with: Any, home: Home, noon: datetime) -> Decide:
    """What becomes of the message `m4`, which was sent to its queue an hour ago."""

    def made(redrives: Redrives, kind: str = "sqs", **given: Any) -> Any:
        sources = [WORK] if kind == "sqs" else []
        ways = Ways(queue_of(kind, *sources), home, "hub-events")
        decider = Decider(ways, max_redrives=3, quarantine_after=timedelta(days=10), execution="this")
        return decider.decide(letter_with(message_id="m4", **given), redrives, noon)

    return made


@pytest.fixture
def tried(noon: datetime) -> Callable[..., Redrives]:
    """Attempts to send those messages back, so long ago; by another execution unless said."""

    def made(
        *message_ids: str, ago: timedelta = LONG_AGO, by: str = "another", refused: str = ""
    ) -> Redrives:
        at = format_instant(noon - ago)
        attempts = tuple(Attempt(at, by, one, f"call {n}") for n, one in enumerate(message_ids))
        return Redrives(attempts, frozenset(one for one in attempts if one.message_id == refused))

    return made


def test_a_message_that_was_never_sent_back_is(decide: Decide) -> None:
    assert decide(NEVER) == ToQueue(WORK)


def test_a_message_that_was_sent_back_often_enough_goes_to_quarantine(decide: Decide, tried: Any) -> None:
    assert decide(tried("m1", "m2")) == ToQueue(WORK)
    assert decide(tried("m1", "m2", "m3")) is Reason.REDRIVEN_TOO_OFTEN


def test_every_try_counts_and_not_every_message(decide: Decide, tried: Any) -> None:
    assert decide(tried("m4", "m4")) == ToQueue(WORK)
    assert decide(tried("m4", "m4", "m4")) is Reason.REDRIVEN_TOO_OFTEN
    assert decide(tried("m4", "m4", "m4", by="this")) is Reason.REDRIVEN_TOO_OFTEN


def test_a_message_that_was_tried_and_not_seen_to_be_sent_is_tried_again(decide: Decide, tried: Any) -> None:
    assert decide(tried("m4", by="this", ago=NOW)) == ToQueue(WORK)
    assert decide(tried("m4", by="this")) == ToQueue(WORK)


@pytest.mark.parametrize("kind", ["sqs", "rule"])
def test_what_this_execution_sent_back_is_left_when_it_died_again(
    decide: Decide, tried: Any, kind: str
) -> None:
    earlier = timedelta(minutes=61)
    for redrives in (tried("m1", by="this", ago=earlier), tried("m1", "m2", "m3", by="this", ago=earlier)):
        assert decide(redrives, kind=kind, message_attributes=TARGET) is Left.RETURNED


@pytest.mark.parametrize("attributes", [{}, {REDRIVE_ATTRIBUTE: "1"}])
def test_a_message_that_was_there_before_is_another_one_that_looks_the_same(
    decide: Decide, tried: Any, attributes: Any
) -> None:
    """Whether an earlier execution has sent it back or none."""
    later = timedelta(minutes=59)
    assert decide(tried("m1", by="this", ago=later), message_attributes=attributes) == ToQueue(WORK)
    assert decide(tried("m1", "m2", "m3", by="this", ago=later)) is Reason.REDRIVEN_TOO_OFTEN


def test_what_another_execution_sent_back_has_not_returned(decide: Decide, tried: Any) -> None:
    assert decide(tried("m1", by="another")) == ToQueue(WORK)


def test_what_a_target_failed_on_at_once_is_left_to_the_next_execution(decide: Decide, tried: Any) -> None:
    assert decide(tried("m4", by="this", ago=NOW, refused="m4")) is Left.RETURNED
    assert decide(tried("m1", by="this", ago=NOW, refused="m1")) == ToQueue(WORK)
    assert decide(tried("m4", by="another", refused="m4")) == ToQueue(WORK)


@pytest.mark.parametrize(("age", "old"), [(timedelta(days=10), True), (timedelta(days=9.9), False)])
def test_a_message_that_sqs_would_drop_soon_goes_to_quarantine(
    decide: Decide, tried: Any, age: timedelta, old: bool
) -> None:
    assert (decide(NEVER, age=age) is Reason.TOO_OLD) == old
    assert (decide(tried("m1", by="this", ago=timedelta(days=11)), age=age) is Reason.TOO_OLD) == old


def test_a_message_without_a_way_back_goes_to_quarantine(decide: Decide) -> None:
    assert decide(NEVER, kind="rule") is Reason.TARGET_UNKNOWN
