"""What becomes of a batch that its reader fails on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.streams.batches import Attempt, Batches, Condition, Limits, Records
from local.streams.filters import Filters
from local.streams.mapping_reader import records_from_lowest
from local.streams.reader import MOST_BYTES, ReaderSettings, _taken
from local.streams.records import Stream, StreamRecord

NOW = 1_800_000_000.0


def _records(names: str, age: float = 0) -> list[StreamRecord]:
    return [_record(place, name, NOW - age) for place, name in enumerate(names)]


def _record(place: int, name: str, created: float = NOW, **more: Any) -> StreamRecord:
    change = {"SequenceNumber": name, "ApproximateCreationDateTime": created, **more}
    return StreamRecord(place, {"eventName": "INSERT", "dynamodb": change})


def _names(records: Records) -> str:
    return "".join(record.sequence_number for record in records)


@dataclass
class Reader:
    """Notes what it is asked for; fails on batches that hold a failing record."""

    bounds: Limits | None
    fails: Callable[[str], Attempt | None]
    attempts: list[str] = field(default_factory=list)
    discarded: list[tuple[str, Condition, int]] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def limits(self) -> Limits | None:
        return self.bounds

    def attempt(self, records: Records) -> Attempt:
        names = _names(records)
        self.attempts.append(names)
        failed = self.fails(names)
        if failed is None:
            return Attempt()
        return Attempt(failed.left or records, failed.counted, failed.reported)

    def discard(self, records: Records, condition: Condition, attempts: int) -> None:
        self.discarded.append((_names(records), condition, attempts))

    def checkpoint(self, position: int) -> None:
        self.positions.append(position)

    def work_off(self, records: Sequence[StreamRecord]) -> bool:
        return Batches(self, self.pauses.append, clock=lambda: NOW).work_off(records)


def _on(bad: str) -> Callable[[str], Attempt | None]:
    return lambda names: Attempt() if set(bad) & set(names) else None


def test_a_batch_that_succeeds_is_given_once() -> None:
    reader = Reader(Limits(), _on(""))
    assert reader.work_off(_records("abc"))
    assert (reader.attempts, reader.discarded) == (["abc"], [])


def test_halving_isolates_a_poison_record_in_order_and_costs_no_retry() -> None:
    reader = Reader(Limits(most_retries=1, bisect=True), _on("c"))
    assert reader.work_off(_records("abcd"))
    assert reader.attempts == ["abcd", "ab", "cd", "c", "c", "d"]
    assert reader.discarded == [("c", Condition.RETRIES, 2)]
    assert reader.positions == sorted(reader.positions)


def test_a_batch_is_divided_at_what_is_reported_and_no_further() -> None:
    records = _records("abcd")

    def report(names: str) -> Attempt | None:
        return Attempt(records[names.index("c") - len(names) :], reported=True) if "c" in names else None

    reader = Reader(Limits(most_retries=1, bisect=True), report)
    assert reader.work_off(records)
    assert reader.attempts == ["abcd", "cd", "cd"]
    assert reader.discarded == [("cd", Condition.RETRIES, 2)]


def test_without_halving_the_whole_batch_is_given_up_after_its_retries() -> None:
    reader = Reader(Limits(most_retries=2), _on("c"))
    assert reader.work_off(_records("abcd"))
    assert reader.attempts == ["abcd"] * 3
    assert reader.discarded == [("abcd", Condition.RETRIES, 3)]


def test_records_that_are_too_old_are_given_up_untried_and_the_others_go_on() -> None:
    reader = Reader(Limits(oldest_seconds=60), _on(""))
    assert reader.work_off([*_records("ab", age=61), _record(2, "c")])
    assert reader.attempts == ["c"]
    assert reader.discarded == [("ab", Condition.AGE, 0)]


def test_what_was_throttled_is_tried_again_without_being_counted() -> None:
    answers = iter([Attempt(counted=False)] * 5 + [None])
    reader = Reader(Limits(most_retries=0), lambda _names: next(answers))
    assert reader.work_off(_records("a"))
    assert (len(reader.attempts), reader.discarded) == (6, [])


def test_pauses_grow_and_stay_short() -> None:
    answers = iter([Attempt()] * 12 + [None])
    reader = Reader(Limits(), lambda _names: next(answers))
    assert reader.work_off(_records("a"))
    assert reader.pauses == sorted(reader.pauses)
    assert reader.pauses[-1] <= 1


def test_part_of_a_batch_that_is_left_is_all_that_is_tried_again() -> None:
    left = _records("abcd")[2:]
    answers = iter([Attempt(left), None])
    reader = Reader(Limits(most_retries=3), lambda _names: next(answers))
    assert reader.work_off(_records("abcd"))
    assert reader.attempts == ["abcd", "cd"]
    assert reader.positions == [0, 2]


def test_a_reader_that_is_gone_stops_in_the_middle_of_a_batch() -> None:
    reader = Reader(Limits(), _on("a"))

    def fails(_names: str) -> Attempt:
        reader.bounds = None
        return Attempt()

    reader.fails = fails
    assert not reader.work_off(_records("ab"))
    assert reader.attempts == ["ab"]


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (None, ""),
        ({}, ""),
        ({"batchItemFailures": []}, ""),
        ({"batchItemFailures": None}, ""),
        ({"batchItemFailures": [{"itemIdentifier": "c"}, {"itemIdentifier": "b"}]}, "bcd"),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, "abcd"),
        ({"batchItemFailures": [{"itemIdentifier": "unknown"}]}, "abcd"),
        ({"batchItemFailures": [{"identifier": "b"}]}, "abcd"),
        ({"batchItemFailures": ["b"]}, "abcd"),
    ],
)
def test_reported_failures_are_read_as_lambda_reads_them(answer: Any, left: str) -> None:
    assert _names(records_from_lowest(answer, _records("abcd"))) == left


def test_a_batch_is_no_larger_than_what_lambda_takes() -> None:
    large = [_record(place, str(place), text="x" * (MOST_BYTES // 3)) for place in range(4)]
    wanted, after = _taken(large, ReaderSettings(batch_size=10))
    assert (_names(wanted), after) == ("01", 2)


def test_a_record_larger_than_a_batch_is_given_alone() -> None:
    large = [_record(place, str(place), text="x" * MOST_BYTES) for place in range(2)]
    assert (_names(_taken(large, ReaderSettings(batch_size=10))[0])) == "0"


@pytest.mark.parametrize(
    ("pattern", "sort_key", "passes"),
    [
        ('{"dynamodb":{"Keys":{"sk":{"S":[{"anything-but":["#LOCK"]}]}}}}', "PATIENT", True),
        ('{"dynamodb":{"Keys":{"sk":{"S":[{"anything-but":["#LOCK"]}]}}}}', "#LOCK", False),
        ('{"eventName":["INSERT"],"dynamodb":{"Keys":{"sk":{"S":[{"prefix":"PAT"}]}}}}', "PATIENT", True),
        ('{"eventName":["REMOVE"]}', "PATIENT", False),
        ('{"dynamodb":{"OldImage":{"phase":{"S":[{"exists":false}]}}}}', "PATIENT", True),
        (
            '{"$or":[{"eventName":["REMOVE"]},{"dynamodb":{"Keys":{"sk":{"S":["PATIENT"]}}}}]}',
            "PATIENT",
            True,
        ),
    ],
)
def test_filters_match_as_event_patterns_do(pattern: str, sort_key: str, passes: bool) -> None:
    record = _record(0, "1", Keys={"sk": {"S": sort_key}}).record
    assert Filters((pattern,)).passes(record) is passes


@pytest.mark.parametrize(
    ("arn", "table"),
    [
        (
            "arn:aws:dynamodb:us-east-1:000000000000:table/hub-Records/stream/2026-11-20T10:00:00.000",
            "hub-Records",
        ),
        ("arn:aws:dynamodb:us-east-1:000000000000:table/hub-Records", None),
        ("arn:aws:kinesis:us-east-1:000000000000:stream/records", None),
        ("nothing", None),
    ],
)
def test_the_stream_of_a_table_is_known_by_its_arn(arn: str, table: str | None) -> None:
    stream = Stream.named(arn)
    assert (None if stream is None else stream.table) == table
