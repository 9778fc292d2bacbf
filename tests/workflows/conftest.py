"""The export workflow whole, as a fixture: see `local.testing.export_hub`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from healthlake_export import check_export, start_export
from healthlake_export.fhir_export_api import FhirExportApi
from local.testing.export_hub import DEFINITION, ExportHub
from local.testing.moments import Crash, Gate, MovedClock, crashing_once


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExportHub]:
    """A hub of its own for each test."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with ExportHub(monkeypatch) as hub:
        yield hub


@pytest.fixture
def impatient_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ExportHub]:
    """A hub whose state machine misses a heartbeat after seconds instead of an hour."""
    definition = tmp_path / DEFINITION.name
    text = DEFINITION.read_text()
    assert '"HeartbeatSeconds": 3600' in text
    definition.write_text(text.replace('"HeartbeatSeconds": 3600', '"HeartbeatSeconds": 4'))
    with ExportHub(monkeypatch, definition) as hub:
        yield hub


@pytest.fixture
def failing() -> Callable[..., Any]:
    """Makes a handler that raises the given errors, one a call, and then does what `then` does."""

    def make(*errors: BaseException, then: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        left = list(errors)

        def handler(event: Any, context: Any) -> Any:
            if left:
                raise left.pop(0)
            return then(event, context)

        return handler

    return make


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """The clock of the functions that start and check exports, in the test's hands."""
    clock = MovedClock()
    for module in (start_export, check_export):
        monkeypatch.setattr(module, "datetime", clock)
    return clock


@pytest.fixture
def gate(hub: ExportHub) -> Iterator[Callable[[], Gate]]:
    """Makes gates that hold whoever comes to them; what is still held goes on when the test is over."""
    gates: list[Gate] = []

    def make() -> Gate:
        gates.append(Gate())
        return gates[-1]

    yield make
    assert hub, "the hub closes after the gates have been opened"
    for made in gates:
        made.opened.set()


@pytest.fixture
def crash(hub: ExportHub, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a function's process die once, right before or right after its first call of `method`."""

    def arrange(function: str, owner: type, method: str, *, when: str) -> None:
        handler = hub.bench.functions[function]
        monkeypatch.setattr(owner, method, crashing_once(getattr(owner, method), when))

        def dies(event: Any, context: Any) -> Any:
            try:
                return handler(event, context)
            except Crash:
                raise RuntimeError("Runtime.ExitError") from None

        hub.bench.functions[function] = dies

    return arrange


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Job statuses that HealthLake has told the functions, in order."""
    statuses: list[str] = []
    describe = FhirExportApi.describe

    def remember(api: FhirExportApi, job_id: str) -> Any:
        job = describe(api, job_id)
        statuses.append(job.status)
        return job

    monkeypatch.setattr(FhirExportApi, "describe", remember)
    return statuses


@pytest.fixture
def cancelled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the jobs that the functions have asked HealthLake to cancel."""
    jobs: list[str] = []
    cancel = FhirExportApi.cancel

    def remember(api: FhirExportApi, job_id: str) -> None:
        jobs.append(job_id)
        cancel(api, job_id)

    monkeypatch.setattr(FhirExportApi, "cancel", remember)
    return jobs
