"""What becomes of a message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from dlq_redrive.arns import Home
from dlq_redrive.dead_letter import REDRIVE_ATTRIBUTE
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.redrive_counts import Redrives
from dlq_redrive.redrive_decision import Decider, Left
from dlq_redrive.ways_back import ToQueue, Ways

WORK = "arn:aws:sqs:us-east-1:123456789012:hub-work"
TARGET = {"TARGET_ARN": WORK}
MARKED = {REDRIVE_ATTRIBUTE: "1"}
NEVER = Redrives()

Decide = Callable[..., Any]


@pytest.fixture
def decide(queue_of: Any, letter_with: Any, home: Home, noon: datetime) -> Decide:
    def made(redrives: Redrives, kind: str = "sqs", **given: Any) -> Any:
        sources = [WORK] if kind == "sqs" else []
        ways = Ways(queue_of(kind, *sources), home, "hub-events")
        decider = Decider(ways, max_redrives=3, quarantine_after=timedelta(days=10), execution="this")
        return decider.decide(letter_with(message_id="m4", **given), redrives, noon)

    return made


def sent(*message_ids: str, by: str = "another") -> Redrives:
    return Redrives(number=len(message_ids), message_ids=message_ids, last_execution=by)


def test_a_message_that_was_never_sent_back_is(decide: Decide) -> None:
    assert decide(NEVER) == ToQueue(WORK)


def test_a_message_that_was_sent_back_often_enough_goes_to_quarantine(decide: Decide) -> None:
    assert decide(sent("m1", "m2")) == ToQueue(WORK)
    assert decide(sent("m1", "m2", "m3")) is Reason.REDRIVEN_TOO_OFTEN


def test_a_message_that_was_counted_and_not_seen_to_be_sent_is_sent(decide: Decide) -> None:
    assert decide(sent("m1", "m2", "m4")) == ToQueue(WORK)
    assert decide(sent("m4", by="this")) == ToQueue(WORK)


def test_what_this_execution_sent_back_is_left_when_it_died_again(decide: Decide) -> None:
    assert decide(sent("m1", by="this"), message_attributes=MARKED) is Left.RETURNED
    assert decide(sent("m1", "m2", "m3", by="this"), message_attributes=MARKED) is Left.RETURNED


def test_a_message_without_a_mark_is_not_what_this_execution_sent(decide: Decide) -> None:
    """Another one with the same content was."""
    assert decide(sent("m1", by="this")) == ToQueue(WORK)


def test_without_room_for_a_mark_its_absence_proves_nothing(decide: Decide) -> None:
    full = {f"a{number}": "x" for number in range(10)}
    assert decide(sent("m1", by="this"), message_attributes=full) is Left.RETURNED


def test_where_marks_get_lost_their_absence_proves_nothing(decide: Decide) -> None:
    assert decide(sent("m1", by="this"), kind="rule", message_attributes=TARGET) is Left.RETURNED


@pytest.mark.parametrize(("age", "old"), [(timedelta(days=10), True), (timedelta(days=9.9), False)])
def test_a_message_that_sqs_would_drop_soon_goes_to_quarantine(
    decide: Decide, age: timedelta, old: bool
) -> None:
    assert (decide(NEVER, age=age) is Reason.TOO_OLD) == old
    assert (decide(sent("m1", by="this"), age=age, message_attributes=MARKED) is Reason.TOO_OLD) == old


def test_a_message_without_a_way_back_goes_to_quarantine(decide: Decide) -> None:
    assert decide(NEVER, kind="rule") is Reason.TARGET_UNKNOWN
