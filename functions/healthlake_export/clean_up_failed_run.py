"""Ends a run that failed: cancels its export job, releases the lock, records why, tells the bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import count, lambda_entry, logger
from healthlake_export.datastore_state import DatastoreState
from healthlake_export.errors import HealthLakeRefused
from healthlake_export.export_start import export_job_name
from healthlake_export.failure_reason import FailureReason, failure_reason
from healthlake_export.fhir_export_api import FhirExportApi, export_api
from healthlake_export.instants import format_instant, parse_instant
from healthlake_export.job_status import is_final
from healthlake_export.run_context import RunIdentity
from healthlake_export.run_events import export_failed, publish_outbox
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings


@dataclass(frozen=True)
class FailedExecution:
    """An execution that failed: its ARN, its start (ISO 8601, UTC) and why it failed."""

    execution_arn: str
    started_at: str
    reason: FailureReason

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> FailedExecution:
        """The execution in the state machine's payload, or in the event «Step Functions Execution Status
        Change» (AWS Step Functions Developer Guide), whose `startDate` is in milliseconds since 1970."""
        detail = event.get("detail")
        if detail is None:
            started_at = parse_instant(event["startedAt"])
            return cls(event["executionArn"], format_instant(started_at), failure_reason(event["failure"]))
        started_at = datetime.fromtimestamp(detail["startDate"] / 1000, UTC)
        failure = {"Error": detail.get("error") or detail["status"], "Cause": detail.get("cause")}
        return cls(detail["executionArn"], format_instant(started_at), failure_reason(failure))

    def identity(self, datastore_id: str) -> RunIdentity:
        """The run that the execution was."""
        return RunIdentity(self.run_id, self.execution_arn, datastore_id, self.started_at)

    def outcome(self, job_id: str | None) -> dict[str, Any]:
        """What the run's audit item and its event say."""
        return {
            "runId": self.run_id,
            "status": "FAILED",
            "error": self.reason.error,
            "cause": self.reason.cause,
            "jobId": job_id,
            "endedAt": format_instant(datetime.now(UTC)),
        }

    @property
    def run_id(self) -> str:
        """The execution's name."""
        return self.execution_arn.rsplit(":", 1)[-1]


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Invoked by the state machine with `{"executionArn", "startedAt", "failure": {Error, Cause}}`, and by
    a rule on Step Functions' status changes for executions that end where no Catch sees it.

    Returns `{"error", "cause", "superseded", "result"}`: `superseded` says that the run had the lock and
    lost it to another one before it failed. Done twice it changes nothing. Raises `HealthLakeBusy` when
    the job could not be cancelled, with the lock kept, since a second export must not start beside it.
    """
    failed = FailedExecution.from_event(event)
    settings = export_settings()
    state = RunState(aws_clients.dynamodb(), settings.table, settings.datastore_id)
    current = state.read()
    if current.owner == failed.execution_arn:
        cancel_job(export_api(settings.datastore_id), current)
        superseded = False
        _end_run(state, failed, current.job_id)
    else:
        superseded = not _failed_without_the_lock(state, failed)
    publish_outbox(state, aws_clients.events(), settings.bus)
    return {
        "error": failed.reason.error,
        "cause": failed.reason.cause,
        "superseded": superseded,
        "result": {"runId": failed.run_id, "status": "SUPERSEDED"},
    }


def cancel_job(api: FhirExportApi, state: DatastoreState) -> None:
    """Cancel the export job of the run that holds the lock, known or only asked for, unless it has ended."""
    job_id = state.job_id
    if job_id is None and state.requested_at is not None and state.run_id is not None:
        job_id = api.find(export_job_name(state.run_id))
    if job_id is None:
        return
    try:
        if not is_final(api.describe(job_id).status):
            api.cancel(job_id)
            logger().warning("export job cancelled", run=state.run_id, job=job_id)
    except HealthLakeRefused as error:
        logger().warning("export job cannot be cancelled", job=job_id, reason=str(error))


def _end_run(state: RunState, failed: FailedExecution, job_id: str | None) -> None:
    run = failed.identity(state.datastore_id)
    outcome = failed.outcome(job_id)
    if state.close(run, outcome, _failure_event(run, outcome)):
        _tell(failed)


def _failed_without_the_lock(state: RunState, failed: FailedExecution) -> bool:
    """Whether the run failed before it had the lock, or was ended by this very failure already. If
    neither, it had the lock and lost it to another run."""
    run = failed.identity(state.datastore_id)
    outcome = failed.outcome(job_id=None)
    if state.record_failure(run, outcome, _failure_event(run, outcome)):
        _tell(failed)
        return True
    audit = state.read_audit(run)
    return audit.get("status") == "FAILED" and audit.get("error") == failed.reason.error


def _failure_event(run: RunIdentity, outcome: Mapping[str, Any]) -> str:
    return export_failed({**outcome, "datastoreId": run.datastore_id, "executionArn": run.execution_arn})


def _tell(failed: FailedExecution) -> None:
    count(ExportsFailed=1)
    logger().error("run failed", run=failed.run_id, error=failed.reason.error, reason=failed.reason.cause)
