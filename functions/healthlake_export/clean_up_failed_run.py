"""Ends a run that failed: cancels its export job, releases the lock, records why, tells the bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import lambda_entry, logger
from healthlake_export.datastore_state import DatastoreState
from healthlake_export.errors import HealthLakeRefused
from healthlake_export.export_start import export_job_name
from healthlake_export.failure_reason import FailureReason, failure_reason
from healthlake_export.fhir_export_api import FhirExportApi, export_api
from healthlake_export.instants import format_instant, parse_instant
from healthlake_export.job_status import is_final
from healthlake_export.run_audit import read_run
from healthlake_export.run_context import RunIdentity
from healthlake_export.run_events import export_failed, publish_outbox
from healthlake_export.run_state import RunState
from healthlake_export.settings import ExportSettings, export_settings


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

    @property
    def run_id(self) -> str:
        """The execution's name."""
        return self.execution_arn.rsplit(":", 1)[-1]


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Invoked by the state machine with `{"executionArn", "startedAt", "failure": {Error, Cause}}`, and by
    a rule on Step Functions' status changes for executions that end where no Catch sees it.

    Returns `{"error", "cause", "superseded", "result"}`: `superseded` says that the run had lost the lock
    before it failed. Done twice it changes nothing. Raises `HealthLakeBusy` when the job could not be
    cancelled, with the lock kept, since a second export must not start beside it.
    """
    failed = FailedExecution.from_event(event)
    settings = export_settings()
    state = RunState(aws_clients.dynamodb(), settings.table, settings.datastore_id)
    current = state.read()
    owned = current.owner == failed.execution_arn
    if owned:
        cancel_job(export_api(settings.datastore_id), current)
        _close(state, current, failed.reason)
    publish_outbox(state, aws_clients.events(), settings.bus)
    return {
        "error": failed.reason.error,
        "cause": failed.reason.cause,
        "superseded": not owned and not _was_recorded(settings, failed),
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


def _was_recorded(settings: ExportSettings, failed: FailedExecution) -> bool:
    """Whether this very failure ended the run before, so that this is a repeat and not a lost lock."""
    audit = read_run(
        aws_clients.dynamodb(), settings.table, settings.datastore_id, failed.started_at, failed.run_id
    )
    return audit.get("status") == "FAILED" and audit.get("error") == failed.reason.error


def _close(state: RunState, current: DatastoreState, reason: FailureReason) -> None:
    run = RunIdentity(
        run_id=current.run_id or "",
        execution_arn=current.owner or "",
        datastore_id=state.datastore_id,
        started_at=current.started_at or "",
    )
    outcome = {
        "runId": run.run_id,
        "status": "FAILED",
        "error": reason.error,
        "cause": reason.cause,
        "jobId": current.job_id,
        "endedAt": format_instant(datetime.now(UTC)),
    }
    event = export_failed({**outcome, "datastoreId": run.datastore_id, "executionArn": run.execution_arn})
    if state.close(run, outcome, event):
        logger().error("run failed", run=run.run_id, error=reason.error, reason=reason.cause)
