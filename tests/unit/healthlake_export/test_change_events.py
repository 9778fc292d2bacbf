from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthlake_export.change_events import (
    CHANGED,
    MAX_BATCH_BYTES,
    MAX_BATCH_ENTRIES,
    Change,
    ChangeEvent,
    ChangeEventFormat,
    PutEventsBatch,
    event_id,
)
from healthlake_export.ndjson import Line, LinePlace
from healthlake_export.resource_keys import Meta, ResourceKeys, read_keys

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

STORE = "0123456789abcdef0123456789abcdef"
KEYS = ResourceKeys("Patient", "p1", Meta("3", "2026-11-20T10:00:00.123Z"))
FORMAT = ChangeEventFormat(
    bus="hub-bus",
    detail_type=CHANGED,
    datastore_id=STORE,
    run_id="run-1",
    bucket="hub-bucket",
    key="exports/run-1/Patient/Patient-0.ndjson",
    max_inline_bytes=2000,
)


def event_of(text: bytes, *, offset: int = 100, style: ChangeEventFormat = FORMAT) -> ChangeEvent:
    keys = read_keys(text)
    assert isinstance(keys, ResourceKeys)
    line = Line(offset, len(text) + 1, text, offset)
    return style.event(event_id(STORE, keys, text), keys, line)


def test_the_same_version_has_the_same_id_every_time() -> None:
    assert event_id(STORE, KEYS, b"one text") == event_id(STORE, KEYS, b"another text")
    assert len(event_id(STORE, KEYS, b"").hex()) == 32


@pytest.mark.parametrize(
    ("store", "keys"),
    [
        ("another", KEYS),
        (STORE, ResourceKeys("Person", "p1", KEYS.meta)),
        (STORE, ResourceKeys("Patient", "p2", KEYS.meta)),
        (STORE, ResourceKeys("Patient", "p1", Meta("4"))),
        (STORE, ResourceKeys("Patientp", "1", KEYS.meta)),
    ],
)
def test_another_store_type_id_or_version_is_another_id(store: str, keys: ResourceKeys) -> None:
    assert event_id(store, keys, b"") != event_id(STORE, KEYS, b"")


def test_without_a_version_the_content_makes_the_id() -> None:
    keys = ResourceKeys("Patient", "p1")
    assert event_id(STORE, keys, b"a") == event_id(STORE, keys, b"a")
    assert event_id(STORE, keys, b"a") != event_id(STORE, keys, b"b")


def test_an_id_stays_what_it_is_from_release_to_release() -> None:
    assert event_id("store", ResourceKeys("Patient", "p1", Meta("3")), b"").hex() == (
        "2c45eac7cb52fb41effa1631fd78f1f6"
    )


def test_a_change_event_has_source_type_bus_and_keys() -> None:
    text = (
        b'{"resourceType":"Patient","id":"p1",'
        b'"meta":{"versionId":"3","lastUpdated":"2026-11-20T10:00:00.123Z"}}'
    )
    entry = event_of(text).entry
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == (
        "healthlake-hub",
        "FhirResourceChanged",
        "hub-bus",
    )
    assert json.loads(entry["Detail"]) == {
        "meta": {
            "eventId": event_id(STORE, KEYS, b"").hex(),
            "resourceType": "Patient",
            "id": "p1",
            "versionId": "3",
            "lastUpdated": "2026-11-20T10:00:00.123Z",
            "datastoreId": STORE,
            "runId": "run-1",
        },
        "resource": json.loads(text),
    }


def test_the_resource_arrives_as_the_text_that_was_exported() -> None:
    text = (
        b'{"resourceType":"Observation", "id":"o1",'
        b'"value":1.10,"big":18446744073709551617,"note":"\xc3\xa9\\u00e9"}'
    )
    detail = event_of(text).entry["Detail"]
    assert text.decode() in detail
    parsed = json.loads(detail, parse_float=Decimal)
    assert str(parsed["resource"]["value"]) == "1.10"
    assert parsed["resource"]["big"] == 2**64 + 1


def test_a_large_resource_is_referred_to_by_its_place() -> None:
    text = b'{"resourceType":"Binary","id":"b1","data":"' + b"x" * 3000 + b'"}'
    detail = json.loads(event_of(text, offset=4711).entry["Detail"])
    assert "resource" not in detail
    assert detail["reference"] == {
        "bucket": "hub-bucket",
        "key": FORMAT.key,
        "offset": 4711,
        "length": len(text),
    }


def test_the_limit_for_inline_resources_is_the_size_of_the_detail() -> None:
    text = b'{"resourceType":"Binary","id":"b1","data":"' + b"x" * 500 + b'"}'
    inline = event_of(text).entry["Detail"]
    exact = replace(FORMAT, max_inline_bytes=len(inline))
    less = replace(FORMAT, max_inline_bytes=len(inline) - 1)
    assert "resource" in json.loads(event_of(text, style=exact).entry["Detail"])
    assert "reference" in json.loads(event_of(text, style=less).entry["Detail"])


def entry_size(entry: PutEventsRequestEntryTypeDef) -> int:
    """The calculation of the EventBridge user guide, for the fields that a change event has."""
    assert set(entry) == {"EventBusName", "Source", "DetailType", "Detail"}
    return len((entry["Source"] + entry["DetailType"] + entry["Detail"]).encode())


@given(st.text())
def test_an_event_knows_its_size(name: str) -> None:
    text = json.dumps({"resourceType": "Patient", "id": "p1", "name": name}, ensure_ascii=False).encode()
    event = event_of(text)
    assert event.size == entry_size(event.entry)


def test_an_event_knows_the_line_and_the_id_that_it_is_about() -> None:
    text = b'{"resourceType":"Patient","id":"p1","meta":{"versionId":"3"}}'
    event = event_of(text, offset=4711)
    assert event.changes[0].line == Line(4711, len(text) + 1, text, 4711)
    assert event.changes[0].identity.hex() == json.loads(event.entry["Detail"])["meta"]["eventId"]


def test_an_event_that_refers_to_its_line_does_not_hold_it() -> None:
    text = b'{"resourceType":"Binary","id":"b1","data":"' + b"x" * 3000 + b'"}'
    assert event_of(text, offset=4711).changes[0].line == LinePlace(4711, len(text) + 1)


def numbered(number: int, size: int) -> ChangeEvent:
    return ChangeEvent({"Detail": "{}"}, size, (Change(b"", LinePlace(number, size)),))


SIZES = st.integers(1, 300_000) | st.integers(MAX_BATCH_BYTES - 5, MAX_BATCH_BYTES - 1)


@given(st.lists(SIZES, max_size=40))
def test_batches_hold_every_event_in_order_within_the_limits_of_a_call(sizes: list[int]) -> None:
    batch = PutEventsBatch()
    batches = []
    for number, size in enumerate(sizes):
        batches.append(batch.add(numbered(number, size)))
    batches.append(batch.take())
    numbers = [event.changes[0].line.offset for events in batches for event in events]
    assert numbers == list(range(len(sizes)))
    for events in batches:
        assert len(events) <= MAX_BATCH_ENTRIES
        assert sum(event.size for event in events) < MAX_BATCH_BYTES


def test_small_events_go_out_by_ten() -> None:
    batch = PutEventsBatch()
    full = [batch.add(numbered(number, 10)) for number in range(25)]
    assert [len(events) for events in full if events] == [10, 10]
    assert len(batch.take()) == 5
