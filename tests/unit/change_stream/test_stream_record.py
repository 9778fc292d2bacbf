"""A record of a stream is read as a change with an identity of its own, or refused with a reason."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from change_stream.errors import Malformed, MalformedRecord
from change_stream.stream_record import Change, read_change, record_identity
from local.testing.change_records import STREAM, Item, images, patient, record, text

ARRIVED = datetime(2026, 11, 20, 12, 0, 0, 250_000, tzinfo=UTC)
DECLARED = {"Patient", "Address"}


def read(one: Any) -> Change:
    return read_change(one, ARRIVED, DECLARED)


def told(change: Change) -> dict[str, Any]:
    """What an event tells of the item, through JSON."""
    found: dict[str, Any] = json.loads(
        json.dumps(change.plain([]), default=lambda raw: json.loads(bytes(raw)))
    )
    return found


def test_a_change_says_what_has_happened_to_what_and_when() -> None:
    change = read(record(patient(name=text("B")), patient(name=text("A")), number=7))
    assert (change.kind, change.item_type, change.id, change.sk) == (
        "PatientModify",
        "Patient",
        "p1",
        "PATIENT",
    )
    assert (change.table, change.stream, change.sequence_number) == (
        "hub-RecordsTable-1A2B3C4D5E6F",
        "2026-11-20T09:00:00.000",
        "100000000000000000007",
    )
    assert change.time == "2026-11-20T10:15:00.000Z"
    assert (json.loads(change.new or b""), json.loads(change.old or b"")) == (
        {"id": "p1", "sk": "PATIENT", "itemType": "Patient", "name": "B"},
        {"id": "p1", "sk": "PATIENT", "itemType": "Patient", "name": "A"},
    )


def test_what_was_inserted_has_no_old_and_what_was_removed_no_new_item() -> None:
    inserted, removed = read(record(patient())), read(record(None, patient()))
    assert (inserted.kind, inserted.old, inserted.new is None) == ("PatientInsert", None, False)
    assert (removed.kind, removed.new, removed.old is None) == ("PatientRemove", None, False)
    assert told(inserted).keys() == {"new"}
    assert told(removed).keys() == {"old"}


def test_changed_attributes_are_listed_with_their_sides() -> None:
    old = patient(same=text("x"), gone=text("a"), other=text("b"), none=text("c"))
    new = patient(same=text("x"), came={"N": "5"}, other={"L": [text("b")]}, none={"NULL": True})
    assert told(read(record(new, old)))["changed"] == {
        "gone": {"old": "a"},
        "came": {"new": 5},
        "other": {"old": "b", "new": ["b"]},
        "none": {"old": "c", "new": None},
    }


def test_what_is_equal_to_dynamodb_has_not_changed() -> None:
    old = patient(number={"N": "1.0"}, words={"SS": ["a", "b"]}, deep={"M": {"n": {"NS": ["1", "2"]}}})
    new = patient(number={"N": "1"}, words={"SS": ["b", "a"]}, deep={"M": {"n": {"NS": ["2", "1"]}}})
    assert told(read(record(new, old)))["changed"] == {}


@given(old=images(itemType=text("Patient")), new=images(itemType=text("Patient")))
def test_old_values_and_what_has_changed_give_the_new_item(old: Item, new: Item) -> None:
    change = told(read(record({**new, **patient()}, {**old, **patient()})))
    item = json.loads(read(record({**old, **patient()})).new or b"")
    for name, sides in change["changed"].items():
        assert sides.get("old", "absent") == item.get(name, "absent")
        item.pop(name, None)
        item |= {name: sides["new"]} if "new" in sides else {}
    assert {name: str(value) for name, value in item.items()} == {
        name: str(value) for name, value in change["new"].items()
    }


def test_a_change_has_the_same_id_wherever_and_however_often_it_is_read() -> None:
    one, again = record(patient()), record(patient())
    again |= {"eventID": "another", "eventVersion": "1.0", "awsRegion": "eu-central-1"}
    again["dynamodb"] = dict(reversed(again["dynamodb"].items())) | {"SizeBytes": 1}
    again["dynamodb"]["Keys"] = {"sk": text("PATIENT"), "id": text("p1")}
    assert read(one).event_id == read(again).event_id == record_identity(one)
    assert len(read(one).event_id) == 32


def test_changes_have_ids_of_their_own() -> None:
    elsewhere = record(patient())
    elsewhere["eventSourceARN"] = elsewhere["eventSourceARN"].replace("table/hub-", "table/hub2-")
    later = record(patient())
    later["eventSourceARN"] = later["eventSourceARN"].replace("stream/2026-11-20", "stream/2026-11-21")
    different = [
        record(patient()),
        record(patient(), number=2),
        record(patient("p2")),
        record({**patient(), "sk": text("PATIENT2")}),
        elsewhere,
        later,
    ]
    assert len({read(one).event_id for one in different}) == len(different)


@pytest.mark.parametrize(
    ("given", "time"),
    [
        (1_795_169_700, "2026-11-20T10:15:00.000Z"),
        (1_795_169_700.25, "2026-11-20T10:15:00.250Z"),
        (1_795_169_700_250, "2026-11-20T10:15:00.250Z"),
        ("2026-11-20T10:15:00Z", "2026-11-20T10:15:00.000Z"),
        ("2026-11-20T11:15:00.25+01:00", "2026-11-20T10:15:00.250Z"),
        (None, "2026-11-20T12:00:00.250Z"),
        (0, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_read_in_every_form_in_which_readers_give_them(given: Any, time: str) -> None:
    assert read(record(patient(), ApproximateCreationDateTime=given)).time == time


def test_a_time_of_arrival_is_told_in_utc() -> None:
    arrived = ARRIVED.astimezone(timezone(timedelta(hours=-5)))
    change = read_change(record(patient(), ApproximateCreationDateTime=None), arrived, DECLARED)
    assert change.time == "2026-11-20T12:00:00.250Z"


def _in_stream(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda one: one["dynamodb"].update(fields)


def _in_record(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda one: one.update(fields)


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda one: one["dynamodb"].pop(name)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (_in_record(eventName="UPSERT"), Malformed.EVENT_NAME),
        (_in_record(eventName=None), Malformed.EVENT_NAME),
        (_in_record(eventName=["MODIFY"]), Malformed.RECORD),
        (_in_record(eventSourceARN="arn:aws:kinesis:us-east-1:123456789012:stream/s"), Malformed.SOURCE),
        (_in_record(eventSourceARN=STREAM.partition("/stream/")[0]), Malformed.SOURCE),
        (_in_record(eventSourceARN=STREAM.partition("/stream/")[0] + "/stream/"), Malformed.SOURCE),
        (_in_record(eventSourceARN=None), Malformed.RECORD),
        (_in_record(dynamodb=None), Malformed.RECORD),
        (_in_record(dynamodb=[]), Malformed.RECORD),
        (_without("Keys"), Malformed.KEYS),
        (_in_stream(Keys={"id": text("p1")}), Malformed.KEYS),
        (_in_stream(Keys={"id": {"N": "1"}, "sk": text("a")}), Malformed.KEYS),
        (_in_stream(Keys={"id": text(""), "sk": text("a")}), Malformed.KEYS),
        (_in_stream(Keys={"id": text("p"), "sk": text("a"), "x": text("b")}), Malformed.KEYS),
        (_in_stream(Keys=["id"]), Malformed.KEYS),
        (_without("SequenceNumber"), Malformed.SEQUENCE_NUMBER),
        (_in_stream(SequenceNumber="../x"), Malformed.SEQUENCE_NUMBER),
        (_in_stream(SequenceNumber=12), Malformed.RECORD),
        (_without("NewImage"), Malformed.IMAGE),
        (_without("OldImage"), Malformed.IMAGE),
        (_in_stream(NewImage={}), Malformed.IMAGE),
        (_in_stream(NewImage="text"), Malformed.RECORD),
        (_in_stream(NewImage={"id": text("p1")}), Malformed.ITEM_TYPE),
        (_in_stream(NewImage={"itemType": text("Unicorn")}), Malformed.ITEM_TYPE),
        (_in_stream(NewImage={"itemType": {"N": "1"}}), Malformed.ITEM_TYPE),
        (_in_stream(NewImage={"itemType": {"S": ["Patient"]}}), Malformed.ITEM_TYPE),
        (_in_stream(NewImage={"itemType": "Patient"}), Malformed.RECORD),
        (_in_stream(ApproximateCreationDateTime="yesterday"), Malformed.TIME),
        (_in_stream(ApproximateCreationDateTime="2026-11-20T10:15:00"), Malformed.TIME),
        (_in_stream(ApproximateCreationDateTime=1e300), Malformed.TIME),
        (_in_stream(ApproximateCreationDateTime=float("nan")), Malformed.TIME),
        (_in_stream(ApproximateCreationDateTime={}), Malformed.TIME),
    ],
)
def test_what_is_no_record_of_records_is_refused_with_its_reason(
    break_it: Callable[[dict[str, Any]], None], reason: Malformed
) -> None:
    broken = copy.deepcopy(record(patient(), patient(name=text("A"))))
    break_it(broken)
    with pytest.raises(MalformedRecord) as refused:
        read(broken)
    assert refused.value.reason == reason
    assert len(record_identity(broken)) == 32


def test_an_item_that_takes_another_type_is_refused_for_its_resource_would_stay() -> None:
    retyped = record({**patient(), "itemType": text("Address")}, patient())
    with pytest.raises(MalformedRecord) as refused:
        read(retyped)
    assert refused.value.reason == Malformed.ITEM_TYPE_CHANGED


@pytest.mark.parametrize("before", [None, text("Patiant"), {"N": "1"}])
def test_an_item_that_had_no_declared_type_may_be_given_one(before: Any) -> None:
    old = patient() | {"itemType": before}
    if before is None:
        del old["itemType"]
    assert read(record(patient(), old)).kind == "PatientModify"


_anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.text(), st.sampled_from(["dynamodb", "Keys", "eventName", "NewImage"])),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(_anything)
def test_whatever_json_comes_is_refused_and_has_a_name_to_be_kept_under(anything: Any) -> None:
    with pytest.raises(MalformedRecord):
        read(anything)
    assert record_identity(anything) == record_identity(json.loads(json.dumps(anything)))
