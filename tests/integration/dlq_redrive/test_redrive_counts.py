"""Counts of redrives, written by several at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import aws_clients
from dlq_redrive.redrive_counts import RedriveCounts
from dlq_redrive.settings import redrive_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDENTITY = "a" * 64


@pytest.fixture
def counts(redrive: Any) -> RedriveCounts:
    return RedriveCounts(aws_clients.dynamodb(), redrive_settings().table, "dead", "one")


def count(counts: RedriveCounts, message_id: str, most: int = 20, minutes: int = 0) -> int | None:
    now = NOON + timedelta(minutes=minutes)
    return counts.count(IDENTITY, message_id, most=most, now=now, failed_at=now)


def test_nothing_was_redriven_at_first(counts: RedriveCounts) -> None:
    assert counts.read(IDENTITY).number == 0


def test_each_message_is_counted_once_and_keeps_its_number(counts: RedriveCounts) -> None:
    assert [count(counts, message) for message in ("m1", "m2", "m1", "m3", "m2")] == [1, 2, 1, 3, 2]
    assert counts.read(IDENTITY).number == 3


def test_no_more_are_counted_than_allowed(counts: RedriveCounts) -> None:
    assert [count(counts, message, most=2) for message in ("m1", "m2", "m3", "m1")] == [1, 2, None, 1]
    assert counts.read(IDENTITY).number == 2


def test_those_who_count_at_once_lose_no_count(counts: RedriveCounts) -> None:
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda number: count(counts, f"m{number}"), range(20)))
    assert sorted(numbers, key=int) == list(range(1, 21))  # type: ignore[arg-type]
    assert counts.read(IDENTITY).number == 20


def test_those_who_count_one_message_at_once_count_it_once(counts: RedriveCounts) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: count(counts, "m"), range(16))) == {1}
    assert counts.read(IDENTITY).number == 1


def test_the_history_says_when_and_by_whom(counts: RedriveCounts) -> None:
    count(counts, "m1")
    count(counts, "m2", minutes=5)
    redrives = counts.read(IDENTITY)
    assert redrives.history == (
        {"at": "2026-03-01T12:00:00.000Z", "execution": "one", "messageId": "m1"},
        {"at": "2026-03-01T12:05:00.000Z", "execution": "one", "messageId": "m2"},
    )
    assert redrives.first_failed_at == "2026-03-01T12:00:00.000Z"
    assert redrives.last_execution == "one"


def test_two_redrives_of_one_queue_at_once_lose_nothing(redrive: Any) -> None:
    """The workflow's lock keeps them apart; this is what happens without."""
    dlq, work = redrive.pair()
    redrive.fill(dlq, 30)
    plan = redrive.plan_of(dlq)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: redrive.run(plan, name), ("one", "two")))
    redrive.show(dlq)
    redrive.run_all(plan, "three")

    assert (redrive.bodies(dlq), set(redrive.bodies(work))) == ([], {str(number) for number in range(30)})
    assert redrive.quarantined() == []
