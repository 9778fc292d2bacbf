"""A batch of records becomes one of details, exact, within every limit, and without one failing another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from change_stream.attribute_values import Image
from change_stream.change_objects import Reference
from change_stream.enrichment import MAX_ANSWER_BYTES, Enriched, Enrichment
from change_stream.errors import Malformed
from change_stream.fhir_mapping import Aggregate, fhir_mappings
from change_stream.item_types import item_types
from change_stream.parallel_calls import MOST_AT_ONCE
from local.testing.change_records import Item, address, images, measurement, patient, record, text
from local.testing.fhir_definitions import faults
from local.testing.patience import PATIENCE_SECONDS

ARRIVED = datetime(2026, 11, 20, 10, 16, tzinfo=UTC)
MAX_INLINE = 204_800
LAMBDA_ANSWER_BYTES = 6 * 1024 * 1024
PUT_EVENTS_BYTES = 1_000_000


@dataclass
class Shelf:
    """Objects and items by their keys, with everything that was asked for."""

    items: list[Item] = field(default_factory=list)
    details: dict[str, bytes] = field(default_factory=dict)
    quarantined: list[tuple[Any, Malformed]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    def put_detail(self, event_id: str, detail: bytes) -> Reference:
        self.details[event_id] = detail
        return Reference("bucket", f"changes/{event_id}.json", len(detail))

    def quarantine(self, one: Any, reason: Malformed) -> Reference:
        self.quarantined.append((one, reason))
        return Reference("bucket", "quarantine/records/x.json", 1)

    def read(self, _aggregate: Aggregate, item_id: str, _sk: str) -> Sequence[Image]:
        self.reads.append(item_id)
        return [one for one in self.items if one["id"]["S"] == item_id]

    def enrich(self, *records: Any, max_inline_bytes: int = MAX_INLINE) -> Enriched:
        enrichment = Enrichment(
            types=item_types(),
            mappings=fhir_mappings(),
            read_collection=self.read,
            objects=self,
            max_inline_bytes=max_inline_bytes,
            arrived=ARRIVED,
        )
        return enrichment.enrich(records)

    def fetched(self, detail: dict[str, Any]) -> bytes:
        """The text of a detail, wherever it is; what is inline has been through the runtime and back."""
        if detail["meta"]["inline"]:
            return through_the_runtime(detail)
        event_id: str = detail["meta"]["eventId"]
        assert detail["reference"] == {
            "bucket": "bucket",
            "key": f"changes/{event_id}.json",
            "length": len(self.details[event_id]),
        }
        return self.details[event_id]


def through_the_runtime(answer: Any) -> bytes:
    """What a consumer gets that reads numbers as doubles, as every hop on the way may."""
    hop = json.loads(json.dumps(answer), parse_int=float)
    return json.dumps(hop).encode()


def digits(text: bytes) -> Any:
    """JSON with numbers by value; 12 and 12.0 are one to a double, and to DynamoDB."""
    return json.loads(text, parse_float=_value, parse_int=_value)


def _value(number: str) -> str:
    whole, _, fraction = number.partition(".")
    return (
        f"number {whole}" if fraction.strip("0") == "" and "e" not in number.lower() else f"number {number}"
    )


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_an_event_names_the_change_and_has_item_changes_and_resource(shelf: Shelf) -> None:
    new, old = patient(gender=text("F"), visits={"N": "12"}), patient(gender=text("F"), visits={"N": "11"})
    shelf.items = [new, address(city=text("Berlin"))]
    (detail,) = shelf.enrich(record(new, old)).details
    assert detail == {
        "meta": {
            "eventId": detail["meta"]["eventId"],
            "change": "PatientModify",
            "itemType": "Patient",
            "id": "p1",
            "sk": "PATIENT",
            "stream": "2026-11-20T09:00:00.000",
            "sequenceNumber": "100000000000000000001",
            "time": "2026-11-20T10:15:00.000Z",
            "table": "hub-RecordsTable-1A2B3C4D5E6F",
            "resourceType": "Patient",
            "resourceId": "p1",
            "inline": True,
        },
        "new": {"id": "p1", "sk": "PATIENT", "itemType": "Patient", "gender": "F", "visits": 12},
        "changed": {"visits": {"old": 11, "new": 12}},
        "resource": {
            "resourceType": "Patient",
            "id": "p1",
            "gender": "female",
            "address": [{"city": "Berlin"}],
        },
    }


def test_a_part_brings_the_resource_that_it_belongs_to(shelf: Shelf) -> None:
    shelf.items = [patient(), address(city=text("Berlin"))]
    (detail,) = shelf.enrich(record(shelf.items[1])).details
    assert (detail["meta"]["change"], detail["meta"]["resourceId"]) == ("AddressInsert", "p1")
    assert detail["resource"]["address"] == [{"city": "Berlin"}]


def test_a_part_that_was_removed_is_missing_in_the_resource(shelf: Shelf) -> None:
    shelf.items = [patient()]
    (detail,) = shelf.enrich(record(None, address())).details
    assert detail["meta"]["change"] == "AddressRemove"
    assert detail["resource"] == {"resourceType": "Patient", "id": "p1"}


def test_a_base_that_was_removed_says_of_which_resource_it_was(shelf: Shelf) -> None:
    (detail,) = shelf.enrich(record(None, patient(gender=text("F")))).details
    assert detail.keys() == {"meta", "old"}
    assert (detail["meta"]["resourceType"], detail["meta"]["resourceId"]) == ("Patient", "p1")
    assert shelf.reads == []


def test_a_part_without_its_base_has_no_resource(shelf: Shelf) -> None:
    (detail,) = shelf.enrich(record(address())).details
    assert "resource" not in detail
    assert "mappingError" not in detail["meta"]


def test_the_items_of_a_resource_are_read_once_for_a_batch(shelf: Shelf) -> None:
    shelf.items = [patient(), patient("p2")]
    batch = [record(address(number=str(one)), number=one) for one in range(5)]
    shelf.enrich(*batch, record(patient("p2")), record(measurement()), record(None, patient("p3")))
    assert sorted(shelf.reads) == ["p1", "p2"]


def test_an_observation_is_made_of_its_record(shelf: Shelf) -> None:
    (detail,) = shelf.enrich(record(measurement(value={"N": "72.5"}))).details
    assert detail["resource"]["valueQuantity"] == {"value": 72.5}
    assert shelf.reads == []


@pytest.mark.parametrize(
    ("items", "change", "error"),
    [
        (
            [patient(gender=text("x"))],
            patient(gender=text("x")),
            {"element": "Patient.gender", "reason": "NOT_A_CODE_OF_THIS_ELEMENT"},
        ),
        (
            [],
            {**address(), "sk": text("HOME")},
            {"element": "Patient.Address", "reason": "SORT_KEY_NOT_OF_THIS_TYPE"},
        ),
    ],
)
def test_a_change_that_cannot_be_mapped_is_told_without_a_resource(
    shelf: Shelf, items: list[Item], change: Item, error: dict[str, str]
) -> None:
    shelf.items = items
    enriched = shelf.enrich(record(change))
    (detail,) = enriched.details
    assert detail["meta"]["mappingError"] == error
    assert "resource" not in detail
    assert detail["new"].keys() == change.keys()
    assert enriched.unmapped == {error["reason"]: 1}
    assert shelf.quarantined == []


@pytest.mark.parametrize("number", ["1.10", "12345678901234567890.5", "1E+30"])
def test_a_number_that_a_double_would_change_travels_by_reference(shelf: Shelf, number: str) -> None:
    enriched = shelf.enrich(record(patient(n={"N": number})), record(patient(n={"N": "1.5"}), number=2))
    exact, inline = enriched.details
    assert exact.keys() == {"meta", "reference"}
    assert b'"n":%s' % number.encode() in shelf.fetched(exact)
    assert (inline["meta"]["inline"], inline["new"]["n"]) == (True, 1.5)
    assert enriched.by_reference == 1


def test_a_text_that_a_resource_has_as_a_number_keeps_its_zeros(shelf: Shelf) -> None:
    (detail,) = shelf.enrich(record(measurement(value=text("72.50")))).details
    assert b'"valueQuantity":{"value":72.50}' in shelf.fetched(detail)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(images(itemType=text("Measurement")), images(itemType=text("Measurement")))))
def test_every_number_reaches_the_consumer_as_it_was(pairs: list[tuple[Item, Item]]) -> None:
    shelf = Shelf()
    batch = [
        record({**new, **measurement()}, {**old, **measurement()}, number)
        for number, (new, old) in enumerate(pairs)
    ]
    exact = Shelf()
    for one, other in zip(
        shelf.enrich(*batch).details, exact.enrich(*batch, max_inline_bytes=1).details, strict=True
    ):
        got, kept = digits(shelf.fetched(one)), digits(exact.fetched(other))
        assert (got["new"], got["changed"]) == (kept["new"], kept["changed"])
        assert got.get("resource") == kept.get("resource")


def _large(number: int, size: int = 390_000, content: str = "x") -> dict[str, Any]:
    length = size // len(content.encode())
    new = patient(f"p{number}", note=text(content * length))
    return record(new, patient(f"p{number}", note=text("y" * size)), number)


@pytest.mark.parametrize("content", ["x", "ü", "💉", "\x01"])
def test_items_of_400_kb_with_both_images_pass_by_reference(shelf: Shelf, content: str) -> None:
    batch = [_large(number, content=content) for number in range(10)]
    enriched = shelf.enrich(*batch)
    assert enriched.by_reference == 10
    assert len(json.dumps(enriched.details)) < 20_000
    for detail in enriched.details:
        whole = json.loads(shelf.fetched(detail))
        assert len(whole["changed"]["note"]["old"]) == 390_000
        assert set(whole["new"]["note"]) == {content}


@pytest.mark.parametrize("content", ["x", "ü", "💉", "\x01"])
def test_no_answer_is_larger_than_the_bus_and_lambda_take(shelf: Shelf, content: str) -> None:
    batch = [_large(number, 60_000, content) for number in range(10)]
    enriched = shelf.enrich(*batch, max_inline_bytes=900_000)
    inline = [one for one in enriched.details if one["meta"]["inline"]]
    assert 0 < len(inline) < 10
    sizes = [len(json.dumps(one, ensure_ascii=False).encode()) for one in enriched.details]
    assert sum(sizes) < MAX_ANSWER_BYTES * 1.05 < PUT_EVENTS_BYTES
    assert len(json.dumps(enriched.details)) < LAMBDA_ANSWER_BYTES


def test_the_size_up_to_which_a_detail_is_inline_counts_bytes(shelf: Shelf) -> None:
    (small,) = shelf.enrich(record(patient(note=text("ü")))).details
    size = len(json.dumps(small, ensure_ascii=False, separators=(",", ":")).encode())
    for limit, inline in ((size, True), (size - 1, False)):
        (detail,) = shelf.enrich(record(patient(note=text("ü"))), max_inline_bytes=limit).details
        assert detail["meta"]["inline"] is inline


BROKEN: list[Any] = [
    None,
    {},
    "record",
    record(patient(n={"N": "x"})),
    record(patient(n={"S": "\ud800"})),
    record(patient(n={"X": 1})),
    record({**patient(), "n": ["S", "a"]}),  # type: ignore[dict-item]
    record(patient(), ApproximateCreationDateTime="never"),
    record({**patient(), "itemType": text("Unicorn")}),
    record({name: one for name, one in patient().items() if name != "itemType"}),
    {**record(patient()), "eventName": "UPSERT"},
    record(measurement(), measurement(n={"NS": ["1", 2]})),
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_bad_record_is_quarantined_whole_and_its_neighbours_go_on(shelf: Shelf, broken: Any) -> None:
    before, after = record(measurement(number="1")), record(measurement(number="2"), number=2)
    enriched = shelf.enrich(before, broken, after)
    assert [one["meta"]["sk"] for one in enriched.details] == ["MEASUREMENT#1", "MEASUREMENT#2"]
    ((kept, reason),) = shelf.quarantined
    assert kept is broken
    assert enriched.quarantined == {reason.value: 1}


def test_a_failure_of_aws_fails_the_batch() -> None:
    """ValueError is what a bad record may raise too."""

    class Refusing(Shelf):
        def read(self, *_: object) -> Sequence[Image]:
            raise ValueError("endpoint")

        def put_detail(self, *_: object) -> Reference:
            raise ValueError("endpoint")

    with pytest.raises(ValueError, match="endpoint"):
        Refusing().enrich(record(measurement()), record(patient()))
    with pytest.raises(ValueError, match="endpoint"):
        Refusing().enrich(record(measurement(n={"N": "1.10"})))


@pytest.mark.parametrize(
    "one",
    [
        record({**patient(), "sk": text("#LOCK")}),
        record(None, {**patient(), "sk": text("#LOCK")}),
        record({"id": text("p1"), "sk": text("#LOCK"), "n": {"N": "x"}}),
    ],
)
def test_what_an_application_keeps_for_itself_is_neither_told_nor_read_nor_kept(
    shelf: Shelf, one: Any
) -> None:
    assert shelf.enrich(one) == Enriched()
    (detail,) = shelf.enrich(one, record(measurement())).details
    assert detail["meta"]["itemType"] == "Measurement"
    assert (shelf.reads, shelf.quarantined, shelf.details) == ([], [], {})


def test_collections_are_read_and_objects_put_at_the_same_time_and_answered_in_order() -> None:
    """Each waits for seven others, which is only possible where eight are under way."""

    class Waiting(Shelf):
        together = Barrier(MOST_AT_ONCE, timeout=PATIENCE_SECONDS)

        def read(self, aggregate: Aggregate, item_id: str, sk: str) -> Sequence[Image]:
            self.together.wait()
            return super().read(aggregate, item_id, sk)

        def put_detail(self, event_id: str, detail: bytes) -> Reference:
            self.together.wait()
            return super().put_detail(event_id, detail)

    shelf = Waiting([patient(f"p{one}") for one in range(MOST_AT_ONCE)])
    batch = [record(one, number=place) for place, one in enumerate(shelf.items)]
    details = shelf.enrich(*batch, max_inline_bytes=1).details
    assert [one["meta"]["id"] for one in details] == [one["id"]["S"] for one in shelf.items]
    assert [json.loads(shelf.fetched(one))["resource"]["id"] for one in details] == [
        one["meta"]["id"] for one in details
    ]


def test_a_failure_among_several_calls_at_once_fails_the_batch() -> None:
    class Refusing(Shelf):
        def put_detail(self, event_id: str, detail: bytes) -> Reference:
            if b'"p3"' in detail:
                raise TimeoutError("of S3")
            return super().put_detail(event_id, detail)

    with pytest.raises(TimeoutError, match="of S3"):
        Refusing().enrich(*(record(patient(f"p{one}"), number=one) for one in range(9)), max_inline_bytes=1)


def test_an_empty_batch_is_an_empty_answer(shelf: Shelf) -> None:
    assert shelf.enrich() == Enriched()


def test_the_same_records_give_the_same_ids_and_objects(shelf: Shelf) -> None:
    batch = [record(patient(n={"N": "1.10"})), record(measurement(), number=2), _large(3)]
    again = Shelf()
    assert json.loads(json.dumps(shelf.enrich(*batch).details)) == again.enrich(*batch).details
    assert shelf.details == again.details


def test_the_age_of_a_batch_is_that_of_its_first_change(shelf: Shelf) -> None:
    late = record(patient(), ApproximateCreationDateTime=1_795_166_100)
    assert shelf.enrich(record(patient()), late).age_seconds == 3660
    ahead = record(patient(), ApproximateCreationDateTime=1_795_999_999)
    assert shelf.enrich(ahead, None).age_seconds == 0


def test_resources_of_a_batch_are_valid(shelf: Shelf) -> None:
    shelf.items = [patient(birthDate=text("1984-02-29"), phone=text("1")), address(city=text("B"))]
    batch = [record(one) for one in (*shelf.items, measurement(value={"N": "1.5"}))]
    resources = [one["resource"] for one in shelf.enrich(*batch).details]
    assert [faults(json.dumps(one).encode()) for one in resources] == [[], [], []]


@pytest.mark.usefixtures("usual_recursion_limit")
def test_a_record_that_is_nested_too_deep_is_quarantined_too(shelf: Shelf) -> None:
    deep: dict[str, Any] = text("bottom")
    for _ in range(400):
        deep = {"M": {"a": deep}}
    enriched = shelf.enrich(record(patient(deep=deep)), record(measurement()))
    assert [one["meta"]["itemType"] for one in enriched.details] == ["Measurement"]
    assert enriched.quarantined == {"RECORD_NOT_READABLE": 1}
    assert json.dumps(shelf.quarantined[0][0])


def test_every_change_of_a_resource_tells_why_there_is_none_and_shares_its_numbers(shelf: Shelf) -> None:
    shelf.items = [patient(gender=text("x"))]
    refused = shelf.enrich(record(patient(gender=text("x"))), record(address(), number=2))
    assert [one["meta"]["mappingError"]["element"] for one in refused.details] == ["Patient.gender"] * 2
    assert refused.unmapped == {"NOT_A_CODE_OF_THIS_ELEMENT": 2}
    parts = [address(number=one, city=text("C")) for one in "12"]
    shelf.items = [patient(), *parts]
    changed = shelf.enrich(*(record(one, number=int(one["sk"]["S"][-1])) for one in parts)).details
    assert changed[0]["resource"] == changed[1]["resource"] != {}
