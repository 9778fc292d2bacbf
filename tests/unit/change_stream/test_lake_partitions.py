"""Rows of the lake: which partition they belong to, what is none, and what fits into one answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from change_stream.lake_partitions import Partitions, RefusedRow, RowReference, RowRefusal, row_in
from change_stream.row_batches import ANSWER_BYTES, RowBatch

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
ARRIVED = datetime(2026, 11, 21, 9, 59, 59, tzinfo=UTC)
PARTITIONS = Partitions.until(NOW, "2026-11-01", {"Patient", "Address"})
EXACT = '{"id":"p","weight":1.10,"big":12345678901234567890123456789012345678}'


def row(**changes: Any) -> dict[str, Any]:
    return {
        "event_id": "0123456789abcdef0123456789abcdef",
        "change": "INSERT",
        "item_type": "Patient",
        "item_id": "p",
        "sk": "PATIENT",
        "stream_label": "2026-11-20T09:00:00.000",
        "sequence_number": "4421584500000000017450439091",
        "event_time": "2026-11-20 23:59:59.999",
        "item": EXACT,
        "old_item": None,
        **changes,
    }


def record(content: Any, record_id: str = "1") -> dict[str, Any]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {
        "recordId": record_id,
        "approximateArrivalTimestamp": int(ARRIVED.timestamp() * 1000),
        "data": base64.b64encode(data).decode(),
    }


class Kept:
    """Large rows that a test keeps, and what was sent back."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        self.rows = rows
        self.returned: list[bytes] = []

    def read(self, reference: RowReference) -> bytes:
        try:
            return self.rows[reference.key]
        except KeyError:
            raise RefusedRow(RowRefusal.REFERENCED_ROW) from None

    def send_back(self, records: Sequence[bytes]) -> None:
        self.returned += records


def transform(*records: dict[str, Any], kept: Kept | None = None) -> list[dict[str, Any]]:
    return RowBatch(PARTITIONS, kept or Kept({})).transform(records).records


def stored(answer: dict[str, Any]) -> bytes:
    return base64.b64decode(answer["data"])


def test_a_row_is_stored_as_it_came_with_a_newline_and_its_partition() -> None:
    text = json.dumps(row()).encode()

    (answer,) = transform(record(text))

    assert answer["result"] == "Ok"
    assert stored(answer) == text + b"\n"
    assert answer["metadata"]["partitionKeys"] == {"item_type": "Patient", "dt": "2026-11-20-23"}


@pytest.mark.parametrize("length", range(6))
def test_a_row_is_stored_whole_whatever_its_length_is(length: int) -> None:
    text = json.dumps(row(sk="x" * (length + 1))).encode()

    (answer,) = transform(record(text))

    assert stored(answer) == text + b"\n"
    assert base64.b64encode(stored(answer)).decode() == answer["data"]


@pytest.mark.parametrize("data", ["", "%%%", "QQ", "eyJ9 ", None])
def test_what_is_no_base64_fails_alone(data: str | None) -> None:
    answers = transform(record(row(), "1"), {**record(row(), "2"), "data": data})

    assert [answer["result"] for answer in answers] == ["Ok", "ProcessingFailed"]


def test_a_newline_that_is_there_is_not_doubled() -> None:
    (answer,) = transform(record(json.dumps(row()).encode() + b"\n"))

    assert stored(answer).count(b"\n") == 1


@pytest.mark.parametrize(
    ("event_time", "hour"),
    [
        ("2026-11-01 00:00:00.000", "2026-11-01-00"),
        ("2026-10-31 23:59:59.999", "2026-11-21-09"),
        ("2026-11-21 10:59:59.999", "2026-11-21-10"),
        ("2026-11-21 11:00:00.000", "2026-11-21-09"),
        ("9999-12-31 23:59:59.999", "2026-11-21-09"),
        ("0001-01-01 00:00:00.000", "2026-11-21-09"),
    ],
)
def test_a_time_that_no_query_looks_at_goes_to_the_hour_of_arrival(event_time: str, hour: str) -> None:
    (answer,) = transform(record(row(event_time=event_time)))

    assert answer["metadata"]["partitionKeys"]["dt"] == hour
    assert json.loads(stored(answer))["event_time"] == event_time


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", RowRefusal.NOT_A_ROW),
        (b"{", RowRefusal.NOT_A_ROW),
        (b"\xff\xfe", RowRefusal.NOT_A_ROW),
        (b"[]", RowRefusal.NOT_A_ROW),
        (b"{}", RowRefusal.NOT_A_ROW),
        (b"[" * 100_000, RowRefusal.NOT_A_ROW),
        ({"malformed": "KEYS_NOT_THOSE_OF_RECORDS", "record": {}}, RowRefusal.MALFORMED),
        (row(event_id="../x"), RowRefusal.EVENT_ID),
        (row(item_type="Secret"), RowRefusal.ITEM_TYPE),
        (row(stream_label=""), RowRefusal.STREAM_LABEL),
        (row(sequence_number="1e3"), RowRefusal.SEQUENCE_NUMBER),
        (row(event_time="2026-11-20T10:00:00.000Z"), RowRefusal.TIME),
        (row(event_time="2026-02-30 10:00:00.000"), RowRefusal.TIME),
        (row(event_time="2026-11-20 24:00:00.000"), RowRefusal.TIME),
        (row(item=None), RowRefusal.IMAGES),
        (row(old_item="{}"), RowRefusal.IMAGES),
        (row(change="REMOVE", old_item="{}"), RowRefusal.IMAGES),
        (row(item="{"), RowRefusal.ITEM),
        (row(item="[]"), RowRefusal.ITEM),
        (row(change="TRUNCATE"), RowRefusal.NOT_A_ROW),
    ],
)
def test_what_is_no_row_fails_alone_and_says_why(content: Any, reason: RowRefusal) -> None:
    batch = RowBatch(PARTITIONS, Kept({}))

    done = batch.transform([record(row(), "1"), record(content, "2"), record(row(), "3")])

    assert [answer["result"] for answer in done.records] == ["Ok", "ProcessingFailed", "Ok"]
    assert [answer["recordId"] for answer in done.records] == ["1", "2", "3"]
    assert done.refused == {reason.value: 1}


def test_a_removed_item_is_a_row_with_its_old_image() -> None:
    (answer,) = transform(record(row(change="REMOVE", item=None, old_item=EXACT)))

    assert answer["result"] == "Ok"


def reference(key: str, length: int) -> dict[str, Any]:
    return {"reference": {"bucket": "hub", "key": key, "length": length}}


def test_a_row_by_reference_is_brought_in_whole() -> None:
    large = json.dumps(row(item=json.dumps({"text": "x" * 1_000_000}))).encode()

    (answer,) = transform(
        record(reference("changes/rows/a.json", len(large))), kept=Kept({"changes/rows/a.json": large})
    )

    assert stored(answer) == large + b"\n"
    assert answer["metadata"]["partitionKeys"]["item_type"] == "Patient"


def test_a_reference_to_nothing_or_to_another_reference_fails() -> None:
    again = json.dumps(reference("changes/rows/a.json", 9)).encode()

    answers = transform(
        record(reference("changes/rows/none.json", 9), "1"),
        record(reference("changes/rows/a.json", len(again)), "2"),
        kept=Kept({"changes/rows/a.json": again}),
    )

    assert [answer["result"] for answer in answers] == ["ProcessingFailed"] * 2


def test_large_rows_that_one_answer_cannot_hold_go_back_into_the_stream() -> None:
    large = json.dumps(row(item=json.dumps({"text": "x" * 2_000_000}))).encode()
    kept = Kept({"changes/rows/a.json": large})
    records = [record(reference("changes/rows/a.json", len(large)), str(number)) for number in range(4)]

    answers = transform(record(row(), "small"), *records, kept=kept)

    assert [answer["result"] for answer in answers] == ["Ok", "Ok", "Ok", "Dropped", "Dropped"]
    assert len(json.dumps({"records": answers})) < 6_000_000
    assert kept.returned == [base64.b64decode(one["data"]) for one in records[2:]]


def test_a_row_that_no_answer_can_hold_fails_and_does_not_go_round_for_ever() -> None:
    kept = Kept({})

    (answer,) = transform(record(reference("changes/rows/a.json", ANSWER_BYTES)), kept=kept)

    assert (answer["result"], kept.returned) == ("ProcessingFailed", [])


def test_no_reason_quotes_what_was_refused() -> None:
    with pytest.raises(RefusedRow) as refused:
        row_in(json.dumps(row(item_type="Marker4711")).encode(), {"Patient"})

    assert "Marker" not in str(refused.value)
