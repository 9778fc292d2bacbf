"""Items become resources that FHIR takes, or are refused with the element that does not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from change_stream.attribute_values import text_of
from change_stream.errors import MappingError, Unmapped
from change_stream.fhir_mapping import build_resource, fhir_mappings, resource_id
from local.testing.change_records import Item, address, attribute_values, measurement, patient, text
from local.testing.fhir_definitions import faults

FULL_PATIENT = patient(
    medicalRecordNumber=text("MRN-1"),
    medicalRecordSystem=text("https://clinic.example/mrn"),
    active={"BOOL": True},
    familyName=text("Müller"),
    givenNames={"L": [text("Anna"), text("Lena")]},
    phone=text("+49 30 1234567"),
    email=text("anna@clinic.example"),
    gender=text("F"),
    birthDate=text("1984-02-29"),
    deceasedAt=text("2026-11-20T10:15:00.123+01:00"),
)
HOME = address(
    number="2",
    use=text("home"),
    type=text("both"),
    lines={"L": [text("Beispielweg 7"), text("2. OG")]},
    city=text("Berlin"),
    district=text("Mitte"),
    state=text("BE"),
    postalCode={"N": "10115"},
    country=text("DE"),
    validFrom=text("2020-05"),
    validTo=text("2026"),
)
WEIGHT = measurement(
    display=text("Body weight"),
    value=text("72.50"),
    unit=text("kg"),
    unitSystem=text("http://unitsofmeasure.org"),
    unitCode=text("kg"),
    measuredAt=text("2026-11-20T10:15:00Z"),
)


def built(kind: str, *items: Item) -> dict[str, Any]:
    resource = build_resource(kind, items)
    assert resource is not None
    assert faults(resource) == []
    read: dict[str, Any] = json.loads(resource)
    return read


def refusal(kind: str, *items: Item) -> tuple[str, Unmapped]:
    with pytest.raises(MappingError) as refused:
        build_resource(kind, items)
    return refused.value.element, refused.value.reason


def test_a_patient_has_everything_of_its_items() -> None:
    assert built("Patient", FULL_PATIENT, HOME) == {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"use": "usual", "system": "https://clinic.example/mrn", "value": "MRN-1"}],
        "active": True,
        "name": [{"use": "official", "family": "Müller", "given": ["Anna", "Lena"]}],
        "telecom": [
            {"system": "phone", "value": "+49 30 1234567"},
            {"system": "email", "value": "anna@clinic.example"},
        ],
        "gender": "female",
        "birthDate": "1984-02-29",
        "deceasedDateTime": "2026-11-20T10:15:00.123+01:00",
        "address": [
            {
                "use": "home",
                "type": "both",
                "line": ["Beispielweg 7", "2. OG"],
                "city": "Berlin",
                "district": "Mitte",
                "state": "BE",
                "postalCode": "10115",
                "country": "DE",
                "period": {"start": "2020-05", "end": "2026"},
            }
        ],
    }


def test_a_patient_needs_nothing_but_an_id() -> None:
    assert built("Patient", patient()) == {"resourceType": "Patient", "id": "p1"}


def test_addresses_are_sorted_by_their_sort_keys() -> None:
    cities = [address(number=str(one), city=text(f"C{one}")) for one in (3, 1, 2)]
    read = built("Patient", *cities, patient())
    assert [one["city"] for one in read["address"]] == ["C1", "C2", "C3"]


def test_without_its_base_item_a_resource_is_gone() -> None:
    assert build_resource("Patient", [HOME]) is None
    assert build_resource("Patient", []) is None


def test_an_element_without_values_is_left_out_with_its_constants() -> None:
    read = built("Patient", patient(phone=text(" "), email={"NULL": True}, givenNames={"L": []}), address())
    assert read == {"resourceType": "Patient", "id": "p1"}


def test_an_observation_keeps_the_digits_of_its_value() -> None:
    resource = build_resource("Observation", [WEIGHT])
    assert resource is not None
    assert faults(resource) == []
    assert b'"value":72.50,' in resource
    exact = build_resource("Observation", [measurement(value={"N": "1" * 38})])
    assert exact is not None
    assert b'"value":' + b"1" * 38 in exact


def test_an_observation_is_of_its_patient_and_final_unless_it_says_otherwise() -> None:
    read = built("Observation", WEIGHT)
    assert (read["status"], read["subject"]) == ("final", {"reference": "Patient/p1"})
    assert built("Observation", {**WEIGHT, "status": text("amended")})["status"] == "amended"


def test_ids_that_fhir_takes_stay_and_others_have_a_hash() -> None:
    assert resource_id(["6f1c2b7e-0001.A"]) == "6f1c2b7e-0001.A"
    hashed = [resource_id([one]) for one in ("a b", "ä", "a" * 65, "", "a/b", "p_1", "x\n")]
    assert len({*hashed, resource_id(["a", "b"]), resource_id(["a,b"])}) == 9
    assert all(len(one) == 32 and one.isalnum() for one in hashed)


def test_an_observation_refers_to_the_patient_whatever_its_id() -> None:
    read = built("Observation", measurement("a b"))
    assert read["subject"] == {"reference": f"Patient/{built('Patient', patient('a b'))['id']}"}


def test_observations_of_one_patient_have_ids_of_their_own() -> None:
    ids = {built("Observation", measurement(number=str(one)))["id"] for one in range(3)}
    assert len(ids) == 3


def test_members_of_a_set_stand_in_one_order() -> None:
    names = [built("Patient", patient(givenNames={"SS": order})) for order in (["B", "A"], ["A", "B"])]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("items", "element", "reason"),
    [
        ([patient(birthDate=text("1984-02-30"))], "Patient.birthDate", Unmapped.DATE),
        ([patient(birthDate=text("29.02.1984"))], "Patient.birthDate", Unmapped.DATE),
        ([patient(birthDate=text("1984-02-29T00:00:00Z"))], "Patient.birthDate", Unmapped.DATE),
        ([patient(birthDate=text("0000"))], "Patient.birthDate", Unmapped.DATE),
        ([patient(birthDate={"BOOL": True})], "Patient.birthDate", Unmapped.WRONG_TYPE),
        ([patient(deceasedAt=text("2026-11-20T25:00:00Z"))], "Patient.deceasedDateTime", Unmapped.DATE_TIME),
        ([patient(deceasedAt=text("2026-11-20T10:00:00"))], "Patient.deceasedDateTime", Unmapped.DATE_TIME),
        ([patient(gender=text("f"))], "Patient.gender", Unmapped.CODE),
        ([patient(gender={"L": []})], "Patient.gender", Unmapped.WRONG_TYPE),
        ([patient(active=text("true"))], "Patient.active", Unmapped.WRONG_TYPE),
        ([patient(familyName=text("a\x00b"))], "Patient.name.family", Unmapped.STRING),
        ([patient(familyName={"M": {}})], "Patient.name.family", Unmapped.WRONG_TYPE),
        ([patient(givenNames=text("Anna"))], "Patient.name.given", Unmapped.WRONG_TYPE),
        ([patient(givenNames={"L": [{"BOOL": True}]})], "Patient.name.given", Unmapped.WRONG_TYPE),
        ([patient(medicalRecordSystem=text("no uri"))], "Patient.identifier.system", Unmapped.URI),
        ([patient(), address(use=text("holiday"))], "Patient.Address.use", Unmapped.CODE),
        ([patient(), address(validTo=text("soon"))], "Patient.Address.period.end", Unmapped.DATE_TIME),
        ([{**patient(), "itemType": text("Address")}], "Patient", Unmapped.KEY),
        ([patient(), {**address(), "itemType": text("Patient")}], "Patient", Unmapped.KEY),
        ([patient(), {**address(), "itemType": {"N": "1"}}], "Patient.Address", Unmapped.KEY),
    ],
)
def test_what_is_no_patient_is_refused_with_its_element(
    items: list[Item], element: str, reason: Unmapped
) -> None:
    assert refusal("Patient", *items) == (element, reason)


@pytest.mark.parametrize(
    ("values", "element", "reason"),
    [
        ({"value": text("heavy")}, "Observation.valueQuantity.value", Unmapped.NUMBER),
        ({"value": text("NaN")}, "Observation.valueQuantity.value", Unmapped.NUMBER),
        ({"code": text(" ")}, "Observation.code.coding.code", Unmapped.MISSING),
        ({"code": text("a  b")}, "Observation.code.coding.code", Unmapped.CODE),
        ({"status": text("done")}, "Observation.status", Unmapped.CODE),
        ({"measuredAt": text("2026-11-20 10:15")}, "Observation.effectiveDateTime", Unmapped.DATE_TIME),
    ],
)
def test_what_is_no_observation_is_refused_with_its_element(
    values: dict[str, Any], element: str, reason: Unmapped
) -> None:
    assert refusal("Observation", {**WEIGHT, **values}) == (element, reason)


def test_a_refusal_says_nothing_of_the_value() -> None:
    with pytest.raises(MappingError, match=r"^Patient\.gender could not be mapped: NOT_A_CODE") as refused:
        build_resource("Patient", [patient(gender=text("secret"))])
    assert "secret" not in str(refused.value)


def _values(*usual: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(st.sampled_from(usual), attribute_values())


_ATTRIBUTES: dict[str, list[dict[str, Any]]] = {
    "birthDate": [text("1984"), text("1984-02"), text("1984-02-29"), text("1983-02-29")],
    "gender": [text("M"), text("unknown"), text("x")],
    "active": [{"BOOL": False}],
    "givenNames": [{"L": [text("A"), {"NULL": True}, text("")]}, {"SS": ["B"]}],
    "phone": [text("1"), {"N": "15112345"}],
    "medicalRecordSystem": [text("urn:oid:1.2.3")],
    "deceasedAt": [text("2026-11-20T10:15:00Z"), text("2026-11-20T10:15:60Z")],
    "familyName": [text("N"), text("a\tb")],
}


@settings(max_examples=60)
@given(st.fixed_dictionaries({}, optional={name: _values(*usual) for name, usual in _ATTRIBUTES.items()}))
def test_whatever_an_item_holds_its_resource_is_valid_or_there_is_none(attributes: Item) -> None:
    text_of(attributes)
    try:
        resource = build_resource("Patient", [{**patient(), **attributes}, address(city=text("C"))])
    except MappingError:
        return
    assert resource is not None
    assert faults(resource) == []


def test_the_resource_of_an_item_is_known_without_reading_it() -> None:
    for kind, item_type, item in (
        ("Patient", "Patient", patient()),
        ("Observation", "Measurement", measurement()),
    ):
        key = fhir_mappings().key_of(item_type, item["id"]["S"], item["sk"]["S"])
        assert key is not None
        assert (key.resource_type, key.resource_id) == (kind, built(kind, item)["id"])
    part = fhir_mappings().key_of("Address", "p1", "ADDRESS#1")
    assert part == fhir_mappings().key_of("Patient", "p1", "PATIENT")
