"""A batch of records becomes rows of the lake: one for each, with the items as exact texts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings

from change_stream.change_objects import Reference
from change_stream.errors import Malformed
from change_stream.item_types import item_types
from change_stream.lake_partitions import RowReference
from change_stream.lake_rows import REFERENCE_BYTES, LakeRows, Rows
from change_stream.parallel_calls import MOST_AT_ONCE
from change_stream.row_batches import ANSWER_BYTES, answer_size
from change_stream.stream_record import record_identity
from local.testing.change_records import Item, images, measurement, patient, record, text
from local.testing.patience import PATIENCE_SECONDS

FIREHOSE_RECORD_BYTES = 1000 * 1024
FIREHOSE_CALL_BYTES = 4 * 1024 * 1024


@dataclass
class Shelf:
    """Objects by their keys."""

    rows: dict[str, bytes] = field(default_factory=dict)
    quarantined: list[Any] = field(default_factory=list)

    def put_row(self, event_id: str, row: bytes) -> Reference:
        self.rows[event_id] = row
        return Reference("bucket", f"changes/rows/{event_id}.json", len(row))

    def quarantine(self, one: Any, _reason: Malformed) -> Reference:
        self.quarantined.append(one)
        return Reference("bucket", f"quarantine/records/{record_identity(one)}.json", 1)

    def prepare(self, *records: Any) -> Rows:
        arrived = datetime(2026, 11, 20, 12, tzinfo=UTC)
        return LakeRows(item_types(), self, arrived).prepare(records)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_a_row_has_the_change_its_identity_and_both_items(shelf: Shelf) -> None:
    one = record(patient(n={"N": "1.10"}), patient(n={"N": "1"}))
    assert shelf.prepare(one).rows == [
        {
            "event_id": record_identity(one),
            "change": "MODIFY",
            "item_type": "Patient",
            "item_id": "p1",
            "sk": "PATIENT",
            "stream_label": "2026-11-20T09:00:00.000",
            "sequence_number": "100000000000000000001",
            "event_time": "2026-11-20 10:15:00.000",
            "item": '{"id":"p1","sk":"PATIENT","itemType":"Patient","n":1.10}',
            "old_item": '{"id":"p1","sk":"PATIENT","itemType":"Patient","n":1}',
        }
    ]


def test_a_side_that_an_item_does_not_have_is_null(shelf: Shelf) -> None:
    inserted, removed = shelf.prepare(record(patient()), record(None, patient(), 2)).rows
    assert (inserted["old_item"], removed["item"]) == (None, None)
    assert inserted["item"] == removed["old_item"] == '{"id":"p1","sk":"PATIENT","itemType":"Patient"}'


@settings(max_examples=40)
@given(images(itemType=text("Patient")))
def test_items_are_texts_that_no_hop_alters(image: Item) -> None:
    new = {**image, **patient()}
    (row,) = Shelf().prepare(record(new)).rows
    hop = json.loads(json.dumps(row))
    assert hop == row
    numbers = {name: value["N"] for name, value in new.items() if "N" in value}
    read = json.loads(hop["item"], parse_int=str, parse_float=str)
    assert {name: read[name] for name in numbers} == numbers


def test_a_change_has_the_same_id_on_its_way_to_the_lake_and_to_the_bus(shelf: Shelf) -> None:
    one = record(patient())
    assert shelf.prepare(one).rows[0]["event_id"] == record_identity(one)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, "RECORD_NOT_READABLE"),
        ({"a": 1}, "RECORD_NOT_READABLE"),
        (record(patient(n={"N": "x"})), "NUMBER_NOT_READABLE"),
        (record({**patient(), "itemType": text("Unicorn")}), "ITEM_TYPE_NOT_DECLARED"),
        (record(patient(t=text("\ud800"))), "TEXT_NOT_UNICODE"),
        (record(patient(), patient(n={"X": "1"})), "ATTRIBUTE_VALUE_NOT_READABLE"),
    ],
)
def test_what_is_no_record_is_a_row_that_says_so_between_its_neighbours(
    shelf: Shelf, broken: Any, reason: str
) -> None:
    prepared = shelf.prepare(record(measurement()), broken, record(measurement(), number=2))
    before, refused, after = prepared.rows
    assert refused == {"malformed": reason, "record": broken}
    assert (before["item_type"], after["item_type"]) == ("Measurement", "Measurement")
    assert prepared.malformed == {reason: 1}
    assert shelf.quarantined == []


@pytest.mark.parametrize("content", ["x", "ü", "💉", "\x01"])
def test_items_of_400_kb_with_both_images_pass_by_reference(shelf: Shelf, content: str) -> None:
    size = 390_000 // len(content.encode())
    large = record(patient(note=text(content * size)), patient(note=text("y" * 390_000)))
    large["dynamodb"]["NewImage"]["more"] = text("z" * 200_000)
    prepared = shelf.prepare(large, record(patient(), number=2))
    (referred, usual) = prepared.rows
    event_id = record_identity(large)
    length = len(shelf.rows[event_id])
    expected = {"bucket": "bucket", "key": f"changes/rows/{event_id}.json", "length": length}
    assert referred == {"reference": expected}
    whole = json.loads(shelf.rows[event_id])
    assert json.loads(whole["item"])["note"] == content * size
    assert usual["item_id"] == "p1"
    assert prepared.by_reference == 1


def test_a_large_record_that_is_none_is_kept_where_nothing_expires(shelf: Shelf) -> None:
    large = record({**patient(note=text("x" * 950_000)), "itemType": text("Unicorn")})
    (row,) = shelf.prepare(large).rows
    assert row["malformed"] == "ITEM_TYPE_NOT_DECLARED"
    assert row["reference"]["key"] == f"quarantine/records/{record_identity(large)}.json"
    assert shelf.quarantined == [large]


@pytest.mark.parametrize("content", ["x", "ü", "💉", "\x01"])
def test_no_answer_is_larger_than_firehose_takes(shelf: Shelf, content: str) -> None:
    size = 900_000 // len(json.dumps(content))
    batch = [record(patient(note=text(content * size)), number=one) for one in range(20)]
    prepared = shelf.prepare(*batch)
    assert 0 < prepared.by_reference < 20
    assert len(json.dumps(prepared.rows)) < FIREHOSE_CALL_BYTES
    assert max(len(json.dumps(row)) for row in prepared.rows) < FIREHOSE_RECORD_BYTES


def test_the_same_records_give_the_same_rows_and_objects(shelf: Shelf) -> None:
    batch = [record(patient(note=text("x" * 950_000))), record(measurement()), None]
    again = Shelf()
    assert shelf.prepare(*batch) == again.prepare(*batch)
    assert shelf.rows == again.rows


def test_what_an_application_keeps_for_itself_is_no_row(shelf: Shelf) -> None:
    internal = {"id": text("p1"), "sk": text("#LOCK"), "n": {"N": "x"}}
    assert shelf.prepare(record(internal), record(None, internal)) == Rows()
    (row,) = shelf.prepare(record(internal), record(measurement())).rows
    assert row["item_type"] == "Measurement"


def test_the_age_of_a_batch_is_that_of_its_first_change(shelf: Shelf) -> None:
    late = record(patient(), ApproximateCreationDateTime=1_795_166_100)
    assert shelf.prepare(record(patient()), None, late).age_seconds == 9900
    ahead = record(patient(), ApproximateCreationDateTime=1_795_999_999)
    assert shelf.prepare(ahead, None).age_seconds == 0


def test_large_rows_are_put_at_the_same_time_and_referred_to_in_order() -> None:
    """Each waits for seven others, which is only possible where eight are under way."""

    class Waiting(Shelf):
        together = Barrier(MOST_AT_ONCE, timeout=PATIENCE_SECONDS)

        def put_row(self, event_id: str, row: bytes) -> Reference:
            self.together.wait()
            return super().put_row(event_id, row)

    large = [record(patient(note=text("x" * 950_000)), number=one) for one in range(MOST_AT_ONCE)]
    rows = Waiting().prepare(*large).rows
    assert [row["reference"]["key"] for row in rows] == [
        f"changes/rows/{record_identity(one)}.json" for one in large
    ]


def test_a_reference_is_counted_for_more_than_its_length() -> None:
    longest = Reference("b" * 63, f"quarantine/records/{'0' * 32}.json", 10**9).to_json()
    for reason in Malformed:
        row = {"malformed": reason.value, "reference": longest}
        assert len(json.dumps(row)) < REFERENCE_BYTES


def test_a_row_that_the_transformation_could_not_bring_in_leaves_the_item_before_it_out(shelf: Shelf) -> None:
    """Items of 400 KB of control characters: with both the row would not fit into an answer."""
    new, old = (patient(note={"S": character * 409_000}) for character in "\x01\x02")
    batch = [record(new, old), record(None, old, 2), record(new, patient(), 3)]
    shelf.prepare(*batch)
    both, removed, small_before = (json.loads(shelf.rows[record_identity(one)]) for one in batch)
    assert both["old_item"] is None
    assert json.loads(both["item"], strict=False)["note"] == "\x01" * 409_000
    assert removed["old_item"] is not None
    assert small_before["old_item"] is not None
    lengths = [len(row) for row in shelf.rows.values()]
    assert all(answer_size(RowReference("b", "k", length)) <= ANSWER_BYTES for length in lengths)
