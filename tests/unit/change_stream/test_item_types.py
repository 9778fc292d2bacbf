"""The declaration of item types keeps to its schema, and the schema refuses what the code could not use."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from change_stream.fhir_mapping import FhirMappings
from change_stream.fhir_values import PRIMITIVES
from change_stream.item_types import DECLARATION, SCHEMA, item_types, read_item_types
from local.testing.change_records import item, text
from local.testing.fhir_definitions import faults

ROOT = Path(__file__).parents[3]

Declared = list[dict[str, Any]]


@pytest.fixture
def declared() -> Declared:
    found: Declared = json.loads(DECLARATION.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def schema() -> Any:
    read = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(read)
    return jsonschema.Draft202012Validator(read)


def test_the_declaration_keeps_to_its_schema(declared: Declared, schema: Any) -> None:
    assert [error.message for error in schema.iter_errors(declared)] == []


def test_every_type_is_declared_once(declared: Declared) -> None:
    assert len({one["name"] for one in declared}) == len(declared) == len(item_types())


def test_parts_are_types_of_the_same_resource_as_the_template_that_names_them(declared: Declared) -> None:
    types = item_types()
    for one in types.values():
        if one.fhir:
            for part in parts_in(one.fhir.template):
                mapping = types[part].fhir
                assert mapping is not None
                assert (mapping.resource, mapping.role) == (one.fhir.resource, "part")


def parts_in(template: Any) -> list[str]:
    if isinstance(template, dict) and "$parts" in template:
        return [template["$parts"]]
    members = template.values() if isinstance(template, dict) else template
    inner = members if isinstance(template, dict | list) else []
    return [name for one in inner for name in parts_in(one)]


def test_every_resource_has_one_base_and_every_part_belongs_to_one() -> None:
    mapped = [one.fhir for one in item_types().values() if one.fhir]
    bases = [one.resource for one in mapped if one.role == "base"]
    assert len(set(bases)) == len(bases)
    assert {one.resource for one in mapped if one.role == "part"} <= set(bases)


def test_no_two_types_share_a_sort_key() -> None:
    """Or an item of one would be taken for one of the other."""
    keys = [one.fhir for one in item_types().values() if one.fhir]
    for one in keys:
        for other in keys:
            begins = other.sk if other.sk is not None else other.sk_prefix
            assert (one is other) or not one.takes(begins or "")


def test_a_type_needs_no_mapping(declared: Declared, schema: Any) -> None:
    note = {"name": "Note", "description": "A note", "fhir": None}
    assert schema.is_valid([*declared, note])
    types = read_item_types(json.dumps([*declared, note]).encode())
    assert types["Note"].fhir is None
    assert FhirMappings(types).key_of("Note", "n1", "NOTE") is None


def test_the_type_that_the_documentation_adds_works(declared: Declared, schema: Any) -> None:
    told = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
    added = json.loads(told.split("```json\n", 1)[1].split("```", 1)[0])
    assert [error.message for error in schema.iter_errors([*declared, added])] == []
    visit = item("p1", "VISIT#1", added["name"], state=text("done"), begun=text("2026-11-20"))
    mappings = FhirMappings(read_item_types(json.dumps([*declared, added]).encode()))
    resource = mappings.build("Encounter", [visit])
    assert resource is not None
    assert faults(resource) == []
    assert json.loads(resource)["status"] == "finished"


def test_the_schema_knows_the_types_that_there_are(schema: Any) -> None:
    assert set(schema.schema["$defs"]["type"]["enum"]) == {*PRIMITIVES, "reference"}


def _fhir(**fields: Any) -> Callable[[Declared], None]:
    return lambda declared: declared[0]["fhir"].update(fields)


def _element(element: Any) -> Callable[[Declared], None]:
    return lambda declared: declared[0]["fhir"]["template"].update(element=element)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda declared: declared[0].pop("fhir"),
        lambda declared: declared[0].update(name="patient"),
        lambda declared: declared[0].update(name="Pa-tient"),
        lambda declared: declared[0].update(other=1),
        _fhir(role="piece"),
        _fhir(key={}),
        _fhir(key={"sk": "A", "skPrefix": "B"}),
        _fhir(key={"skPrefix": "#internal"}),
        _fhir(identifiedBy=["sk"]),
        _fhir(template={}),
        _element({"$from": "a"}),
        _element({"$from": "a", "type": "text"}),
        _element({"$from": "", "type": "string"}),
        _element({"$from": "a", "type": "string", "codes": {"a": "b"}}),
        _element({"$from": "a", "type": "reference"}),
        _element({"$from": "a", "type": "string", "to": "Patient"}),
        _element({"$each": "a"}),
        _element({"$each": "a", "type": "string", "template": {"b": 1}}),
        _element({"$parts": "Address", "type": "string"}),
        _element({"$other": "a"}),
        _element([]),
        _element(None),
    ],
)
def test_a_declaration_that_the_code_could_not_use_is_refused(
    declared: Declared, schema: Any, break_it: Callable[[Declared], None]
) -> None:
    broken = copy.deepcopy(declared)
    break_it(broken)
    assert not schema.is_valid(broken)
