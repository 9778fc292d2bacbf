"""HealthLake and the waiting state as small fakes in memory, for the functions between them, and runs in
various stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from common import aws_clients
from common.errors import HubError
from healthlake_export.errors import HealthLakeRefused
from healthlake_export.fhir_export_api import ExportJob, ExportRequest
from healthlake_export.job_status import is_final
from healthlake_export.run_state import RunState
from local.testing.run_of_noon import prepare_range


@dataclass
class FakeExportApi:
    """Jobs by id. `troubles` are raised by the next calls, one each."""

    jobs: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    requests: list[ExportRequest] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    troubles: list[HubError] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def start(self, request: ExportRequest) -> str:
        self._raise_trouble()
        job_id = f"job-{next(self.numbers)}"
        self.requests.append(request)
        self.jobs[job_id] = "SUBMITTED"
        self.names[request.job_name] = job_id
        return job_id

    def describe(self, job_id: str) -> ExportJob:
        self._raise_trouble()
        return ExportJob(job_id, self.jobs[job_id])

    def find(self, job_name: str) -> str | None:
        self._raise_trouble()
        return self.names.get(job_name)

    def cancel(self, job_id: str) -> None:
        self._raise_trouble()
        if is_final(self.jobs[job_id]):
            raise HealthLakeRefused("HealthLake answered DELETE export with 400.")
        self.cancelled.append(job_id)

    def _raise_trouble(self) -> None:
        if self.troubles:
            raise self.troubles.pop(0)


@dataclass
class FakeCallbacks:
    """What the waiting state was told. `waiting` says whether it still waits."""

    waiting: bool = True
    told: list[tuple[str, Any]] = field(default_factory=list)

    def succeed(self, task_token: str, output: Any) -> bool:
        return self._tell("succeed", output)

    def fail(self, task_token: str, error: HubError) -> bool:
        return self._tell("fail", type(error).__name__)

    def heartbeat(self, task_token: str) -> bool:
        return self._tell("heartbeat", None)

    def _tell(self, what: str, content: Any) -> bool:
        self.told.append((what, content))
        return self.waiting


@dataclass
class FakeClock:
    """A time that the test moves."""

    now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def export_api() -> FakeExportApi:
    return FakeExportApi()


@pytest.fixture
def callbacks() -> FakeCallbacks:
    return FakeCallbacks()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def exporting_run(hub: Any) -> Callable[[str], RunState]:
    """Makes an execution the owner of the run lock, with job-1 under way; returns the state."""

    def make(execution_arn: str) -> RunState:
        state = RunState(aws_clients.dynamodb(), hub.settings.table, hub.settings.datastore_id)
        state.acquire("me", execution_arn, now="now", stale_after="later")
        state.begin_start(execution_arn, "attempt", "token", "invocation", now=0, until=90, at="12:00")
        state.record_job(execution_arn, "invocation", "job-1")
        return state

    return make


@pytest.fixture
def run_of_noon(hub: Any, sample_event: Callable[[str], Any]) -> Any:
    """The event of the sample range, with what it speaks of in the account."""
    return prepare_range(sample_event("healthlake_export/range_of_patients"))


@pytest.fixture
def invoke(hub: Any, sample_event: Any, lambda_context: Any) -> Callable[..., Any]:
    """Calls a handler with a sample event, changed as given."""

    def call(module: Any, name: str, **changes: Any) -> Any:
        return module.lambda_handler({**sample_event(f"healthlake_export/{name}"), **changes}, lambda_context)

    return call


@pytest.fixture
def state(hub: Any) -> RunState:
    return RunState(aws_clients.dynamodb(), hub.settings.table, hub.settings.datastore_id)


@pytest.fixture
def bus(hub: Any) -> Callable[[], list[Any]]:
    """Events on the hub's bus, as a queue behind a rule received them."""
    events, sqs = aws_clients.events(), aws_clients.sqs()
    sqs.create_queue(QueueName="subscriber")
    events.put_rule(Name="all", EventBusName="hub-events", EventPattern='{"source": ["healthlake-hub"]}')
    arn = f"arn:aws:sqs:us-east-1:{DEFAULT_ACCOUNT_ID}:subscriber"
    events.put_targets(Rule="all", EventBusName="hub-events", Targets=[{"Id": "q", "Arn": arn}])

    def received() -> list[Any]:
        queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue("subscriber")
        return [json.loads(message.body) for message in queue._messages]

    return received
