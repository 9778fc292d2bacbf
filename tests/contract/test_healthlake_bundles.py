"""Batch and transaction. AWS HealthLake Developer Guide: "Bundling FHIR resources"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import Answer, FhirClient


@pytest.fixture
def fhir() -> Iterator[FhirClient]:
    with HealthLakeServer(pace=None) as server:
        yield server.client()


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def put(resource_id: str, **members: Any) -> dict[str, Any]:
    resource = {"resourceType": "Patient", "id": resource_id, **members}
    return {"resource": resource, "request": {"method": "PUT", "url": f"Patient/{resource_id}"}}


def statuses(answer: Answer) -> list[str]:
    return [entry["response"]["status"][:3] for entry in answer.document["entry"]]


def test_each_entry_of_a_batch_is_answered_in_its_place(fhir: FhirClient) -> None:
    fhir.put("Patient", "old")
    answer = fhir.send(
        "POST",
        "",
        bundle(
            "batch",
            put("p1"),
            {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
            {"request": {"method": "GET", "url": "Patient/old"}},
            {"request": {"method": "DELETE", "url": "Patient/old"}},
            {"request": {"method": "GET", "url": "Patient?_id=old&_count=1"}},
        ),
    )
    assert answer.status == 200
    assert answer.document["type"] == "batch-response"
    assert statuses(answer) == ["201", "201", "200", "204", "200"]
    first = answer.document["entry"][0]["response"]
    assert (first["location"], first["etag"]) == ("Patient/p1/_history/1", 'W/"1"')
    assert answer.document["entry"][2]["resource"]["id"] == "old"


def test_a_failing_entry_of_a_batch_leaves_the_others_alone(fhir: FhirClient) -> None:
    wrong = put("p2") | {"request": {"method": "PUT", "url": "Patient/other"}}
    nothing = {"request": {"method": "PATCH", "url": "Patient/p1"}}
    answer = fhir.send("POST", "", bundle("batch", put("p1"), wrong, {}, nothing, put("p3")))
    assert statuses(answer) == ["201", "400", "400", "400", "201"]
    outcome = answer.document["entry"][1]["response"]["outcome"]
    assert "differs from the id in the URL" in outcome["issue"][0]["diagnostics"]
    assert fhir.send("GET", "Patient/p3").status == 200


def test_a_batch_may_write_one_resource_twice(fhir: FhirClient) -> None:
    answer = fhir.send("POST", "", bundle("batch", put("p1", a=1), put("p1", a=2)))
    assert statuses(answer) == ["201", "200"]
    assert fhir.send("GET", "Patient/p1").document["meta"]["versionId"] == "2"


def test_if_match_works_in_a_batch(fhir: FhirClient) -> None:
    fhir.put("Patient", "p1")
    stale = put("p1")
    stale["request"]["ifMatch"] = 'W/"7"'
    assert statuses(fhir.send("POST", "", bundle("batch", stale))) == ["412"]


def test_resources_keep_their_text_in_a_batch(fhir: FhirClient) -> None:
    body = (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","id":"p1",'
        b'"x":1.10,"y":18446744073709551617},"request":{"method":"PUT","url":"Patient/p1"}}]}'
    )
    fhir.send("POST", "", body)
    assert fhir.send("GET", "Patient/p1").body.endswith(b'"x":1.10,"y":18446744073709551617}')


def test_a_transaction_is_stored_whole_with_its_references_resolved(fhir: FhirClient) -> None:
    patient = {
        "fullUrl": "urn:uuid:4f6a30fb-cd3c-4ab6-8757-532101f72065",
        "resource": {"resourceType": "Patient"},
        "request": {"method": "POST", "url": "Patient"},
    }
    observation = {
        "resource": {
            "resourceType": "Observation",
            "id": "o1",
            "subject": {"reference": "urn:uuid:4f6a30fb-cd3c-4ab6-8757-532101f72065"},
        },
        "request": {"method": "PUT", "url": "Observation/o1"},
    }
    answer = fhir.send("POST", "", bundle("transaction", observation, patient))
    assert answer.document["type"] == "transaction-response"
    created = answer.document["entry"][1]["response"]["location"].removesuffix("/_history/1")
    assert fhir.send("GET", "Observation/o1").document["subject"]["reference"] == created
    assert fhir.send("GET", created).status == 200


def test_a_failing_entry_undoes_a_transaction(fhir: FhirClient) -> None:
    wrong = {"resource": {"resourceType": "Patient"}, "request": {"method": "PUT", "url": "Patient/p2"}}
    refused = fhir.send("POST", "", bundle("transaction", put("p1"), wrong))
    assert refused.status == 400
    assert refused.reason.startswith("Entry 1:")
    assert fhir.send("GET", "Patient/p1").status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"resourceType":"Patient","type":"batch"}',
        b'{"resourceType":"Bundle","type":"collection","entry":[]}',
        b'{"resourceType":"Bundle"}',
        json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [5]}).encode(),
    ],
)
def test_what_is_no_bundle_to_process_is_refused(fhir: FhirClient, body: bytes) -> None:
    refused = fhir.send("POST", "", body)
    assert refused.status == 400
    assert refused.reason


def test_an_empty_batch_is_answered_empty(fhir: FhirClient) -> None:
    assert fhir.send("POST", "", bundle("batch")).document["entry"] == []
