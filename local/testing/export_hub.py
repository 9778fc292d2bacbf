"""The export workflow whole: the real state machine file, the real handlers, the local HealthLake."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self

import boto3
import pytest
from botocore.loaders import Loader, create_loader
from moto import mock_aws

from common import aws_clients
from healthlake_export import (
    acquire_run_lock,
    advance_watermark,
    check_export,
    clean_up_failed_run,
    plan_ranges,
    process_range,
    publish_run_events,
    reconcile_run,
    start_export,
)
from healthlake_export.run_context import RunIdentity
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings
from local.healthlake.testing import HealthLakeServer
from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Workbench, function_arn
from local.stepfunctions.workbench_run import Run
from local.testing.event_patterns import ENDED_EXECUTIONS, JOB_EVENTS, event_pattern
from local.testing.mocked_hub import (
    BUCKET,
    CREDENTIALS,
    DATASTORE_ID,
    REGION,
    TABLE,
    create_hub_resources,
    hub_environment,
)
from local.testing.moto_dynamodb import atomic_writes
from local.testing.template_reader import read

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
DEFINITION = ROOT / "statemachines" / "healthlake_export.asl.json"
HANDLERS = {
    "AcquireRunLockFunction": acquire_run_lock.lambda_handler,
    "StartExportFunction": start_export.lambda_handler,
    "CheckExportFunction": check_export.lambda_handler,
    "PlanRangesFunction": plan_ranges.lambda_handler,
    "ProcessRangeFunction": process_range.lambda_handler,
    "ReconcileRunFunction": reconcile_run.lambda_handler,
    "AdvanceWatermarkFunction": advance_watermark.lambda_handler,
    "PublishRunEventsFunction": publish_run_events.lambda_handler,
    "CleanUpFailedRunFunction": clean_up_failed_run.lambda_handler,
}
# Delays pass quickly; timeouts are real, since handlers take their time on a busy machine.
QUICK = Pace(delays=0.002)


class ExportHub:
    """The workflow with everything around it. `bench` runs executions, `healthlake` has the datastore."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, definition: Path = DEFINITION, pace: Pace = QUICK
    ) -> None:
        self._monkeypatch = monkeypatch
        self._open = ExitStack()
        self._bench_is_open = Event()
        self.healthlake = HealthLakeServer(put_object=_put_object, on_event=self._on_job_event)
        # The same id every time, so that the definition is parsed once and not for every hub.
        datastores = replace(self.healthlake.service.datastores, new_id=lambda: DATASTORE_ID)
        self.datastore = datastores.create({"DatastoreName": "test"})
        self.fhir = self.healthlake.client(self.datastore)
        queue = f"https://sqs.{REGION}.amazonaws.com/123456789012/"
        substitutions = {f"{name}Arn": function_arn(name) for name in HANDLERS}
        self.bench = Workbench(
            definition,
            {
                **substitutions,
                "Partition": "aws",
                "StateMachineName": "workflow",
                "DatastoreId": self.datastore.datastore_id,
                "HubTableName": TABLE,
                "StartQueueUrl": f"{queue}start",
            },
            HANDLERS,
            pace=pace,
            encrypted=True,
        )

    def __enter__(self) -> Self:
        for name, value in CREDENTIALS.items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.setenv("AWS_ENDPOINT_URL_HEALTHLAKE", self.healthlake.url)
        # Clients of every hub read the same models of services: most of what a first run takes.
        self._monkeypatch.setattr("botocore.session.create_loader", _loader)
        with ExitStack() as opening:
            opening.callback(_forget)
            # HealthLake's jobs write into moto's S3 until HealthLake is closed, after the bench.
            for part in (mock_aws(), self.healthlake, atomic_writes(), self.bench):
                opening.enter_context(part)
            self._set_up()
            self._open = opening.pop_all()
        return self

    def _set_up(self) -> None:
        queues = create_hub_resources()
        self.configure(**hub_environment(queues, self.datastore.datastore_id))
        self.bench.connect_queue(queues.start, "StartExportFunction", batch_size=1)
        self.bench.connect_queue(queues.check, "CheckExportFunction", batch_size=1)
        self.queues = queues
        self.bench.connect_rule(self._pattern(JOB_EVENTS), self._to_check_queue)
        self.bench.connect_rule(self._pattern(ENDED_EXECUTIONS), "CleanUpFailedRunFunction")
        self._bench_is_open.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def configure(self, **settings: str) -> None:
        """Set environment variables of the functions, as a deployment would."""
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)
        _forget()

    def put(self, *resources: tuple[str, str], **members: Any) -> None:
        """Write small resources, each (type, id), through the FHIR API."""
        for resource_type, resource_id in resources:
            answer = self.fhir.put(resource_type, resource_id, **members)
            assert answer.status in (200, 201), answer.body

    def run(self, request: Any = None) -> Run:
        """Start an execution and wait for its end."""
        return self.bench.start(request).wait()

    @property
    def state(self) -> Any:
        """The datastore's state item."""
        return self._run_state().read()

    def outbox(self) -> list[tuple[str, str]]:
        """Events of runs that wait to be published."""
        return self._run_state().outbox()

    def audit(self, run: Run) -> dict[str, Any]:
        """The audit item of a run."""
        identity = RunIdentity.of_execution(run.arn, self.datastore.datastore_id)
        return self._run_state().read_audit(identity)

    def _run_state(self) -> RunState:
        return RunState(_client("dynamodb"), TABLE, self.datastore.datastore_id)

    def resource_events(self, run: Run | None = None) -> list[Any]:
        """Details of the events about resources on the bus, of one run if given."""
        return [
            event["detail"]
            for event in self.bench.events
            if event["detail-type"].startswith("FhirResource")
            and (run is None or event["detail"]["meta"]["runId"] == run.name)
        ]

    def detail_types(self, run: Run) -> set[str]:
        """Types of the events about resources that a run has published."""
        return {
            event["detail-type"]
            for event in self.bench.events
            if event["detail"].get("meta", {}).get("runId") == run.name
        }

    def run_events(self, detail_type: str) -> list[Any]:
        """Details of the events about runs of one type."""
        return [event["detail"] for event in self.bench.events if event["detail-type"] == detail_type]

    def quarantined(self) -> list[Any]:
        """Every quarantined record."""
        s3 = _client("s3")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="quarantine/").get("Contents", [])
        keys = [found["Key"] for found in listed if found["Key"].endswith(".ndjson")]
        bodies = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
        return [json.loads(line) for body in bodies for line in body.splitlines()]

    def jobs(self) -> list[str]:
        """Statuses of all export jobs, oldest first."""
        listed = boto3.client("healthlake", REGION, endpoint_url=self.healthlake.url).list_fhir_export_jobs(
            DatastoreId=self.datastore.datastore_id
        )["ExportJobPropertiesList"]
        return [job["JobStatus"] for job in sorted(listed, key=lambda job: job["SubmitTime"])]

    def _on_job_event(self, event: dict[str, Any]) -> None:
        self._bench_is_open.wait()
        self.bench.put_event({**event, "bus": "default"})

    def _pattern(self, path: tuple[str, ...]) -> Any:
        values = {
            "ExistingDatastoreId": self.datastore.datastore_id,
            "ExportStateMachine": self.bench.state_machine.arn,
        }
        return event_pattern(_template(), path, values)

    def _to_check_queue(self, event: dict[str, Any]) -> None:
        _client("sqs").send_message(QueueUrl=self.queues.check, MessageBody=json.dumps(event))


@cache
def _client(service: Any) -> Any:
    """A client of moto's services, made once: making one takes longer than most calls."""
    return boto3.client(service, REGION)


@cache
def _loader(search_path: str | None = None) -> Loader:
    return create_loader(search_path)


@cache
def _template() -> Any:
    return read(TEMPLATE)


def _put_object(bucket: str, key: str, body: bytes, role_arn: str) -> None:  # noqa: ARG001 (its form)
    _client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def _forget() -> None:
    aws_clients.forget_clients()
    export_settings.cache_clear()
