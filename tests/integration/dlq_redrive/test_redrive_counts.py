"""Counts of redrives, written by several at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import aws_clients
from dlq_redrive.redrive_counts import Attempt, RedriveCounts
from dlq_redrive.settings import redrive_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDENTITY = "a" * 64


@pytest.fixture
def counts(redrive: Any) -> RedriveCounts:
    return RedriveCounts(aws_clients.dynamodb(), redrive_settings().table, "dead", "one", "call")


def attempt_of(message_id: str, call: str = "call", minutes: int = 0) -> Attempt:
    at = f"2026-03-01T12:{minutes:02}:00.000Z"
    return Attempt(at, "one", message_id, call)


def count(counts: RedriveCounts, attempt: Attempt, most: int = 20) -> int | None:
    return counts.count(IDENTITY, attempt, most=most, failed_at=NOON - timedelta(hours=1))


def items() -> list[Any]:
    return list(aws_clients.dynamodb().scan(TableName=redrive_settings().table)["Items"])


def test_nothing_was_redriven_at_first(counts: RedriveCounts) -> None:
    assert counts.read(IDENTITY).number == 0


def test_an_attempt_is_of_one_message_in_one_call(counts: RedriveCounts) -> None:
    attempt = counts.attempt("m1", NOON)
    assert attempt == attempt_of("m1")
    assert Attempt.read(attempt.written) == attempt


def test_each_attempt_counts_once_however_often_it_is_written(counts: RedriveCounts) -> None:
    """As botocore does, when an answer is lost."""
    first, second = attempt_of("m1"), attempt_of("m2")
    assert [count(counts, one) for one in (first, first, second, second)] == [1, 1, 2, 2]
    assert counts.read(IDENTITY).number == 2


def test_another_try_of_the_same_message_counts_again(counts: RedriveCounts) -> None:
    tries = [attempt_of("m1", call) for call in ("first", "second", "third")]
    assert [count(counts, one) for one in tries] == [1, 2, 3]


def test_no_more_are_counted_than_allowed(counts: RedriveCounts) -> None:
    tries = [attempt_of(message) for message in ("m1", "m2", "m3", "m1")]
    assert [count(counts, one, most=2) for one in tries] == [1, 2, None, 2]
    assert counts.read(IDENTITY).number == 2


def test_those_who_count_at_once_lose_no_count(counts: RedriveCounts) -> None:
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda n: count(counts, attempt_of(f"m{n}")), range(20)))
    assert sorted(numbers, key=int) == list(range(1, 21))  # type: ignore[arg-type]
    assert counts.read(IDENTITY).number == 20


def test_those_who_count_at_once_count_no_more_than_allowed(counts: RedriveCounts) -> None:
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda n: count(counts, attempt_of(f"m{n}"), most=5), range(20)))
    assert len([number for number in numbers if number is not None]) == counts.read(IDENTITY).number == 5


def test_those_who_write_one_attempt_at_once_count_it_once(counts: RedriveCounts) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: count(counts, attempt_of("m")), range(16))) == {1}
    assert counts.read(IDENTITY).number == 1


def test_what_was_surely_not_sent_is_counted_no_more(counts: RedriveCounts) -> None:
    first, second = attempt_of("m1"), attempt_of("m2")
    count(counts, first)
    count(counts, second)
    for _ in range(2):
        counts.take_back(IDENTITY, first)
    assert counts.read(IDENTITY).attempts == (second,)
    assert count(counts, attempt_of("m3"), most=2) == 2


def test_what_was_not_counted_cannot_be_taken_back(counts: RedriveCounts) -> None:
    counts.take_back(IDENTITY, attempt_of("m1"))
    counts.refuse(IDENTITY, attempt_of("m1"))
    assert items() == []


def test_what_a_target_failed_on_stays_counted(counts: RedriveCounts) -> None:
    first, second = attempt_of("m1"), attempt_of("m2")
    count(counts, first)
    count(counts, second)
    for _ in range(2):
        counts.refuse(IDENTITY, first)
    redrives = counts.read(IDENTITY)
    assert redrives.attempts == (first, second)
    assert redrives.refused == {first}


def test_an_item_stays_small_however_many_messages_share_it(counts: RedriveCounts) -> None:
    """DynamoDB takes up to 400 KB."""
    for number in range(60):
        attempt = attempt_of(f"{number:036}", call="c" * 36, minutes=number)
        if count(counts, attempt, most=20) is not None and number % 2:
            counts.take_back(IDENTITY, attempt)
    (item,) = items()
    assert len(item["attempts"]["SS"]) == 20
    assert len(repr(item)) < 5_000


def test_the_history_says_when_and_by_whom(counts: RedriveCounts) -> None:
    count(counts, attempt_of("m2", minutes=5))
    count(counts, attempt_of("m1"))
    redrives = counts.read(IDENTITY)
    assert redrives.history == (
        {"at": "2026-03-01T12:00:00.000Z", "execution": "one", "messageId": "m1"},
        {"at": "2026-03-01T12:05:00.000Z", "execution": "one", "messageId": "m2"},
    )
    assert redrives.first_failed_at == "2026-03-01T11:00:00.000Z"


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
