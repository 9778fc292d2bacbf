"""Every word that a template may have, in mappings that the hub does not come with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from change_stream.errors import MappingError, Unmapped
from change_stream.fhir_mapping import FhirMappings
from change_stream.item_types import read_item_types
from local.testing.change_records import Item, item, text


def filled(template: dict[str, Any], **attributes: Any) -> Any:
    """What the element `element` of a resource is for an item with these attributes."""
    fhir = {
        "resource": "Basic",
        "role": "base",
        "key": {"sk": "THING"},
        "identifiedBy": ["id"],
        "template": {"element": template},
    }
    declared = [{"name": "Thing", "description": "A thing", "fhir": fhir}]
    mappings = FhirMappings(read_item_types(json.dumps(declared).encode()))
    thing: Item = item("t1", "THING", "Thing", **attributes)
    resource = mappings.build("Basic", [thing])
    assert resource is not None
    return json.loads(resource).get("element")


def value(kind: str, **more: Any) -> dict[str, Any]:
    return {"$from": "a", "type": kind, **more}


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("integer", {"N": "-2147483648"}, -2147483648),
        ("integer", {"S": "2147483647"}, 2147483647),
        ("unsignedInt", {"N": "0"}, 0),
        ("positiveInt", {"N": "1"}, 1),
        ("decimal", {"N": "-1.5"}, -1.5),
        ("boolean", {"BOOL": False}, False),
        ("instant", text("2026-11-20T10:15:00.123Z"), "2026-11-20T10:15:00.123Z"),
        ("dateTime", text("2026-11-20T10:15:00-05:00"), "2026-11-20T10:15:00-05:00"),
        ("date", text("2026-11"), "2026-11"),
        ("code", text("a b"), "a b"),
        ("uri", text("urn:uuid:1-2"), "urn:uuid:1-2"),
        ("string", text(" padded "), "padded"),
        ("string", {"NULL": True}, None),
        ("string", text(""), None),
        ("integer", text(""), None),
    ],
)
def test_a_value_that_fits_its_type_stands_there(kind: str, given: dict[str, Any], expected: Any) -> None:
    assert filled(value(kind), a=given) == expected


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        ("integer", {"N": "2147483648"}, Unmapped.NUMBER),
        ("integer", {"N": "-2147483649"}, Unmapped.NUMBER),
        ("integer", {"N": "1.5"}, Unmapped.NUMBER),
        ("unsignedInt", {"N": "-1"}, Unmapped.NUMBER),
        ("positiveInt", {"N": "0"}, Unmapped.NUMBER),
        ("decimal", text("+1"), Unmapped.NUMBER),
        ("instant", text("2026-11-20"), Unmapped.DATE_TIME),
        ("instant", text("2026-02-29T10:15:00Z"), Unmapped.DATE_TIME),
        ("dateTime", text("2026-11-20T10:15:00+15:00"), Unmapped.DATE_TIME),
        ("dateTime", text("2026-11-20T24:00:00Z"), Unmapped.DATE_TIME),
        ("date", text("2026-13"), Unmapped.DATE),
        ("boolean", {"N": "1"}, Unmapped.WRONG_TYPE),
    ],
)
def test_a_value_that_does_not_is_refused(kind: str, given: dict[str, Any], reason: Unmapped) -> None:
    with pytest.raises(MappingError) as refused:
        filled(value(kind), a=given)
    assert (refused.value.element, refused.value.reason) == ("Basic.element", reason)


def test_a_path_leads_through_maps() -> None:
    nested = {"M": {"contact": {"M": {"phone": text("1")}}, "other": text("x")}}
    assert filled({"$from": ["a", "contact", "phone"], "type": "string"}, a=nested) == "1"
    assert filled({"$from": ["a", "other", "phone"], "type": "string"}, a=nested) is None
    assert filled({"$from": ["b", "phone"], "type": "string"}, a=nested) is None
    assert filled({"$each": ["a", "none"], "type": "string"}, a=nested) is None


def test_a_default_stands_where_there_is_no_value_and_a_required_one_is_missed() -> None:
    assert filled(value("string", default="x", required=True)) == "x"
    with pytest.raises(MappingError) as refused:
        filled(value("string", required=True), a=text(" "))
    assert refused.value.reason == Unmapped.MISSING


def test_every_map_of_a_list_has_a_template() -> None:
    phones = {"L": [{"M": {"n": text("1"), "kind": text("m")}}, {"M": {}}, {"M": {"n": text("2")}}]}
    template = {
        "$each": "a",
        "template": {
            "system": "phone",
            "value": {"$from": "n", "type": "string"},
            "use": {"$from": "kind", "type": "code", "codes": {"m": "mobile"}},
        },
    }
    assert filled(template, a=phones) == [
        {"system": "phone", "value": "1", "use": "mobile"},
        {"system": "phone", "value": "2"},
    ]
    with pytest.raises(MappingError) as refused:
        filled(template, a={"L": [text("1")]})
    assert (refused.value.element, refused.value.reason) == ("Basic.element", Unmapped.WRONG_TYPE)


def test_members_may_have_codes_and_references() -> None:
    coded = {"$each": "a", "type": "code", "codes": {"x": "y"}}
    assert filled(coded, a={"SS": ["x"]}) == ["y"]
    referring = {"$each": "a", "type": "reference", "to": "Patient"}
    assert filled(referring, a={"NS": ["2", "1"]}) == ["Patient/1", "Patient/2"]


def test_constants_stand_as_they_are() -> None:
    constant = {"coding": [{"system": "http://loinc.org", "code": "1-8"}], "number": 1.5, "flag": False}
    assert filled(constant) == constant


def test_what_has_words_and_no_values_is_left_out_with_its_constants() -> None:
    assert filled({"system": "phone", "deep": [{"value": value("string")}]}) is None
