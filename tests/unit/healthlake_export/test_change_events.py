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
    ChangeEvent,
    ChangeEventFormat,
    EventBatch,
    entry_size,
    event_id,
)
from healthlake_export.ndjson import Line
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


@given(
    source=st.text(),
    detail_type=st.text(),
    detail=st.text(),
    resources=st.lists(st.text(), max_size=3),
    timed=st.booleans(),
)
def test_the_size_of_an_entry_is_what_the_user_guide_calculates(
    source: str, detail_type: str, detail: str, resources: list[str], timed: bool
) -> None:
    entry: PutEventsRequestEntryTypeDef = {
        "Source": source,
        "DetailType": detail_type,
        "Detail": detail,
        "Resources": resources,
    }
    if timed:
        entry["Time"] = "2026-11-20T10:00:00Z"
    expected = (14 if timed else 0) + len("".join([source, detail_type, detail, *resources]).encode())
    assert entry_size(entry) == expected


@given(st.text())
def test_an_event_knows_its_size(name: str) -> None:
    text = json.dumps({"resourceType": "Patient", "id": "p1", "name": name}, ensure_ascii=False).encode()
    event = event_of(text)
    assert event.size == entry_size(event.entry)


SIZES = st.integers(1, 300_000) | st.integers(MAX_BATCH_BYTES - 5, MAX_BATCH_BYTES - 1)


@given(st.lists(SIZES, max_size=40))
def test_batches_hold_every_event_in_order_within_the_limits_of_a_call(sizes: list[int]) -> None:
    batch = EventBatch()
    batches = []
    for number, size in enumerate(sizes):
        batches.append(batch.add(ChangeEvent({"Detail": str(number)}, size)))
    batches.append(batch.take())
    numbers = [int(entry["Detail"]) for entries in batches for entry in entries]
    assert numbers == list(range(len(sizes)))
    for entries in batches:
        assert len(entries) <= MAX_BATCH_ENTRIES
        assert sum(sizes[int(entry["Detail"])] for entry in entries) < MAX_BATCH_BYTES


def test_small_events_go_out_by_ten() -> None:
    batch = EventBatch()
    full = [batch.add(ChangeEvent({"Detail": "{}"}, 10)) for _ in range(25)]
    assert [len(entries) for entries in full if entries] == [10, 10]
    assert len(batch.take()) == 5
