"""Search.

AWS HealthLake Developer Guide: "Searching FHIR resources in AWS HealthLake", "FHIR R4 search parameters for
HealthLake".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from local.healthlake.clock import ManualClock
from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import FhirClient

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def fhir() -> Iterator[FhirClient]:
    """Patients p0 to p4, stored a minute apart; and one Group."""
    clock = ManualClock(START)
    with HealthLakeServer(clock=clock, pace=None) as server:
        client = server.client()
        for number in range(5):
            client.put("Patient", f"p{number}", order=number)
            clock.advance(timedelta(minutes=1))
        client.put("Group", "g1")
        yield client


def ids(fhir: FhirClient, query: str) -> list[str]:
    bundle = fhir.send("GET", f"Patient?{query}").document
    return [entry["resource"]["id"] for entry in bundle["entry"]]


def test_a_search_answers_with_a_searchset_of_one_type(fhir: FhirClient) -> None:
    bundle = fhir.send("GET", "Patient").document
    assert (bundle["resourceType"], bundle["type"], bundle["total"]) == ("Bundle", "searchset", 5)
    assert bundle["entry"][0]["fullUrl"] == f"{fhir.endpoint}Patient/p0"
    assert bundle["entry"][0]["search"] == {"mode": "match"}
    assert [link["relation"] for link in bundle["link"]] == ["self"]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("gt2026-03-01T12:02:00Z", ["p3", "p4"]),
        ("ge2026-03-01T12:02:00Z", ["p2", "p3", "p4"]),
        ("lt2026-03-01T12:02:00Z", ["p0", "p1"]),
        ("le2026-03-01T12:02:00Z", ["p0", "p1", "p2"]),
        ("ge2026-03-01T13:02:00+01:00", ["p2", "p3", "p4"]),
        ("ge2026-03-01T12:01:59.999Z", ["p2", "p3", "p4"]),
        ("gt2026-03-01", []),
        ("ge2026-03-01", ["p0", "p1", "p2", "p3", "p4"]),
        ("2026-03-01T12:01", ["p1"]),
        ("lt2026", []),
    ],
)
def test_last_updated_takes_prefixes_and_zones(fhir: FhirClient, condition: str, found: list[str]) -> None:
    assert ids(fhir, f"_lastUpdated={quote(condition)}") == found


def test_conditions_on_last_updated_add_up(fhir: FhirClient) -> None:
    assert ids(fhir, "_lastUpdated=ge2026-03-01T12:01:00Z&_lastUpdated=lt2026-03-01T12:03:00Z") == [
        "p1",
        "p2",
    ]


def test_ids_are_alternatives(fhir: FhirClient) -> None:
    assert ids(fhir, "_id=p3,p1,unknown") == ["p1", "p3"]


def test_sorting_by_last_updated_goes_both_ways(fhir: FhirClient) -> None:
    fhir.put("Patient", "p0")
    assert ids(fhir, "_sort=_lastUpdated") == ["p1", "p2", "p3", "p4", "p0"]
    assert ids(fhir, "_sort=-_lastUpdated") == ["p0", "p4", "p3", "p2", "p1"]


@pytest.mark.parametrize("sort", ["", "&_sort=_lastUpdated", "&_sort=-_lastUpdated"])
def test_next_links_lead_to_every_match_once(fhir: FhirClient, sort: str) -> None:
    url: str | None = f"{fhir.endpoint}Patient?_count=2{sort}"
    pages = []
    while url:
        bundle = fhir.send("GET", url).document
        pages.append([entry["resource"]["id"] for entry in bundle["entry"]])
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(found for page in pages for found in page) == ["p0", "p1", "p2", "p3", "p4"]


def test_summary_count_gives_only_the_number(fhir: FhirClient) -> None:
    bundle = fhir.send("GET", "Patient?_summary=count&_lastUpdated=ge2026-03-01T12:03:00Z").document
    assert (bundle["total"], bundle["entry"]) == (2, [])


def test_deleted_resources_are_not_found(fhir: FhirClient) -> None:
    fhir.send("DELETE", "Patient/p2")
    assert ids(fhir, "_count=10") == ["p0", "p1", "p3", "p4"]


def test_resources_appear_as_stored(fhir: FhirClient) -> None:
    fhir.send("PUT", "Patient/p9", b'{"resourceType":"Patient","id":"p9","x":1.10}')
    assert b'"x":1.10}' in fhir.send("GET", "Patient?_id=p9").body


def test_a_search_can_be_posted_as_a_form(fhir: FhirClient) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    found = fhir.send("POST", "Patient/_search", b"_id=p1", form)
    assert found.document["total"] == 1
    assert fhir.send("POST", "Patient/_search?_count=1", b"_id=p1", form).status == 400


@pytest.mark.parametrize(
    "query",
    [
        "name=x",
        "_sort=name",
        "_count=-1",
        "_lastUpdated=yesterday",
        "_lastUpdated=2026-02-30",
        "page=!!",
        "_summary=text",
    ],
)
def test_what_is_not_understood_is_refused(fhir: FhirClient, query: str) -> None:
    refused = fhir.send("GET", f"Patient?{query}")
    assert refused.status == 400
    assert refused.reason
