"""Events for many resources: what they say, and how many they take."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from healthlake_export.change_events import CHANGED, BatchEvents, ChangeEvent, ChangeEventFormat
from healthlake_export.ndjson import Line, LinePlace
from healthlake_export.resource_keys import Meta, ResourceKeys

KEY = "exports/run-1/Patient/Patient-0.ndjson"


def format_of(max_inline_bytes: int = 2000) -> ChangeEventFormat:
    return ChangeEventFormat("hub-bus", CHANGED, "store", "run-1", "hub-bucket", KEY, max_inline_bytes)


def add(batches: BatchEvents, number: int, *, length: int = 500) -> ChangeEvent | None:
    keys = ResourceKeys("Patient", f"p{number}", Meta("3", "2026-11-20T10:00:00.123Z"))
    line = Line(number * length, length, b"x" * (length - 1), number * length)
    return batches.add(number.to_bytes(16, "big"), keys, line)


def detail(event: ChangeEvent | None) -> Any:
    assert event is not None
    return json.loads(event.entry["Detail"])


def test_an_event_for_many_says_who_changed_and_where_each_resource_stands() -> None:
    batches = BatchEvents(format_of())
    assert add(batches, 1) is None
    assert add(batches, 2) is None

    told = detail(batches.take())

    assert told["meta"].items() >= {"datastoreId": "store", "runId": "run-1", "count": 2}.items()
    assert told["reference"] == {"bucket": "hub-bucket", "key": KEY}
    assert told["changes"][1] == {
        "eventId": f"{2:032x}",
        "resourceType": "Patient",
        "id": "p2",
        "versionId": "3",
        "lastUpdated": "2026-11-20T10:00:00.123Z",
        "offset": 1000,
        "length": 499,
    }


def test_it_has_a_detail_type_of_its_own_and_no_content() -> None:
    batches = BatchEvents(format_of())
    add(batches, 1)
    event = batches.take()
    assert event is not None
    assert event.entry["DetailType"] == "FhirResourceChangedBatch"
    assert "xxx" not in event.entry["Detail"]
    assert event.changes[0].line == LinePlace(500, 500)


def test_the_same_changes_have_the_same_batch_id_and_others_another() -> None:
    def batch_id(*numbers: int) -> str:
        batches = BatchEvents(format_of())
        for number in numbers:
            add(batches, number)
        return str(detail(batches.take())["meta"]["batchId"])

    assert batch_id(1, 2) == batch_id(1, 2)
    assert batch_id(1, 2) != batch_id(1, 3)


def test_nothing_collected_is_no_event() -> None:
    assert BatchEvents(format_of()).take() is None


@given(st.integers(0, 60), st.integers(1024, 4000))
def test_no_event_is_larger_than_may_travel_and_every_change_is_in_one(changes: int, limit: int) -> None:
    batches = BatchEvents(format_of(limit))
    events = [*(add(batches, number) for number in range(changes)), batches.take()]
    details = [event.entry["Detail"] for event in events if event is not None]
    assert all(len(text) <= limit for text in details)
    ids = [change["id"] for text in details for change in json.loads(text)["changes"]]
    assert ids == [f"p{number}" for number in range(changes)]
    assert len(details) <= changes * 250 // (limit - 400) + 1


def test_an_event_for_many_is_as_large_as_may_travel_and_no_larger_however_many_it_counts() -> None:
    largest = []
    for limit in range(20_000, 20_200):
        batches = BatchEvents(format_of(limit))
        events = [add(batches, number) for number in range(150)]
        largest.append(limit - max(len(event.entry["Detail"]) for event in events if event is not None))
    assert 0 <= min(largest) <= 6
