"""Asking the datastore whether it still has the patient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.erasure.healthlake_patient import InHealthLake, patient_in_healthlake
from local.healthlake.testing import HealthLakeServer
from local.testing.mocked_hub import REGION


@pytest.fixture
def healthlake() -> Iterator[Any]:
    with HealthLakeServer() as server:
        yield server


def test_the_datastore_tells_what_it_has_of_a_patient(healthlake: Any) -> None:
    session = boto3.Session("test", "test", region_name=REGION)
    datastore = healthlake.create_datastore()
    fhir = healthlake.client(datastore)

    def asked() -> InHealthLake:
        return patient_in_healthlake(session, healthlake.url, datastore.datastore_id, "p-1")

    assert asked() is InHealthLake.ABSENT
    fhir.put("Patient", "p-1")
    assert asked() is InHealthLake.PRESENT
    assert fhir.send("DELETE", "Patient/p-1").status == 204
    assert asked() is InHealthLake.DELETED
    healthlake.faults.answer(1, 403, "{}", "ReadResource")
    assert asked() is InHealthLake.UNKNOWN


def test_a_datastore_that_does_not_answer_is_not_taken_for_empty() -> None:
    session = boto3.Session("test", "test", region_name=REGION)
    nowhere = "http://127.0.0.1:9"
    assert patient_in_healthlake(session, nowhere, "0" * 32, "p-1") is InHealthLake.UNKNOWN
