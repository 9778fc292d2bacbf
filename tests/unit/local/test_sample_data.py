"""The generated sample: large and varied enough, sound in its references, the same every time."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from local.sample_data.exact_json import decimal, exact_json
from local.sample_data.generator import generate

LARGEST_INLINE_EVENT = 204_800


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [exact_json(resource) for resource in generate()]


@pytest.fixture(scope="module")
def resources(texts: list[str]) -> list[dict[str, Any]]:
    return [json.loads(text) for text in texts]


def test_there_are_at_least_five_thousand_resources_of_ten_types(resources: list[dict[str, Any]]) -> None:
    counts = Counter(resource["resourceType"] for resource in resources)

    assert counts.total() >= 5000
    assert len(counts) >= 10
    assert counts["Observation"] >= 1000


def test_the_sample_is_the_same_every_time(texts: list[str]) -> None:
    assert [exact_json(resource) for resource in generate()] == texts


def test_every_id_is_one_that_fhir_allows_and_used_once(resources: list[dict[str, Any]]) -> None:
    keys = [(resource["resourceType"], resource["id"]) for resource in resources]

    assert len(keys) == len(set(keys))
    assert all(re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", key) for _, key in keys)


def test_every_reference_points_to_a_resource_of_the_sample(resources: list[dict[str, Any]]) -> None:
    known = {f"{resource['resourceType']}/{resource['id']}" for resource in resources}

    for resource in resources:
        contained = {f"#{inner['id']}" for inner in resource.get("contained", [])}
        assert set(_references(resource)) <= known | contained


def test_decimals_are_written_with_their_trailing_zeros(texts: list[str]) -> None:
    assert exact_json({"value": decimal("1.10")}) == '{"value":1.10}'
    assert any('"valueDecimal":1.10' in text for text in texts)
    assert len(re.findall(r'"value":\d+\.\d*0[,}]', "".join(texts))) > 100
    assert "decimal:" not in "".join(texts)


@pytest.mark.parametrize(
    "element",
    [
        "valueQuantity",
        "valueCodeableConcept",
        "valueString",
        "component",
        "dataAbsentReason",
        "contained",
        "extension",
    ],
)
def test_observations_come_in_every_shape(resources: list[dict[str, Any]], element: str) -> None:
    observations = [resource for resource in resources if resource["resourceType"] == "Observation"]

    assert any(element in observation for observation in observations)


def test_one_resource_is_too_large_for_an_event_to_carry(texts: list[str]) -> None:
    assert sum(len(text.encode()) > LARGEST_INLINE_EVENT for text in texts) == 1


def test_every_patient_is_recognisably_made_up(resources: list[dict[str, Any]]) -> None:
    patients = [resource for resource in resources if resource["resourceType"] == "Patient"]

    assert all(patient["name"][0]["family"].startswith("Testpatient-") for patient in patients)


def test_a_marked_text_that_is_no_decimal_stays_a_text() -> None:
    assert json.loads(exact_json({"text": "decimal:1.10"})) == {"text": "decimal:1.10"}
    assert json.loads(exact_json({"v": decimal("1.10")}), parse_float=Decimal)["v"] == Decimal("1.10")


def _references(element: Any) -> Iterator[str]:
    if isinstance(element, dict):
        if isinstance(element.get("reference"), str):
            yield element["reference"]
        for value in element.values():
            yield from _references(value)
    elif isinstance(element, list):
        for value in element:
            yield from _references(value)
