"""The FHIR writer's functions, with a HealthLake that checks signatures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fhir_writer import resource_writer
from local.healthlake.testing import HealthLakeServer
from local.testing.fhir_writer_hub import SIGNING, WriterHub, writer_hub


@pytest.fixture(scope="session")
def healthlake() -> Iterator[HealthLakeServer]:
    """A server for all tests, each of which has a datastore of its own."""
    with HealthLakeServer(secrets=SIGNING, pace=None) as server:
        yield server


@pytest.fixture
def writer(hub: object, healthlake: HealthLakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[WriterHub]:
    """The hub of the writer, made anew for each test; retries wait no time."""
    policy = replace(resource_writer.POLICY, sleep=lambda _seconds: None)
    monkeypatch.setattr("fhir_writer.write_fhir.POLICY", policy)
    with writer_hub(healthlake) as made:
        yield made
