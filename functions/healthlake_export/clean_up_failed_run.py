"""Ends a run that failed: cancels its export job, releases the lock, records why, tells the bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from common import aws_clients
from common.instants import format_instant
from common.observability import count, lambda_entry, logger, presentable
from healthlake_export.datastore_state import DatastoreState
from healthlake_export.erasures import is_erasure
from healthlake_export.errors import EventsNotAccepted, HealthLakeRefused
from healthlake_export.failure_reason import FailureReason, failure_reason
from healthlake_export.fhir_export_api import (
    FhirExportApi,
    cancel_unless_ended,
    export_api,
    export_job_name,
)
from healthlake_export.range_failures import RangeFailures
from healthlake_export.run_context import RunIdentity
from healthlake_export.run_events import export_failed, publish_outbox
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_A_RANGE_FAILED = "ExceedToleratedFailureThreshold"
_FAILED: tuple[str, Mapping[str, Any]] = ("FAILED", {})


@dataclass(frozen=True)
class FailedExecution:
    """An execution that failed, and why. `is_alive` says that it runs again since, because somebody has
    redriven it."""

    execution_arn: str
    reason: FailureReason
    is_alive: bool = False

    @classmethod
    def from_event(cls, event: Mapping[str, Any], executions: SFNClient) -> FailedExecution:
        """The execution in the state machine's payload, or in the event «Step Functions Execution Status
        Change», which leaves error and cause out where the state machine is encrypted with a customer's key
        («Data at rest encryption in Step Functions», AWS Step Functions Developer Guide), so that Step
        Functions is asked."""
        detail = event.get("detail")
        if detail is None:
            return cls(event["executionArn"], failure_reason(event["failure"]))
        told = _told_when_asked(executions, detail["executionArn"])
        error = detail.get("error") or told.get("error") or detail["status"]
        failure = {"Error": error, "Cause": detail.get("cause") or told.get("cause")}
        return cls(detail["executionArn"], failure_reason(failure), _was_redriven(detail, told))

    def outcome(self, run: RunIdentity, job_id: str | None) -> dict[str, Any]:
        """What the run's audit item and its event say."""
        return {
            "runId": run.run_id,
            "status": "FAILED",
            "error": self.reason.error,
            "cause": self.reason.cause,
            "jobId": job_id,
            "datastoreId": run.datastore_id,
            "executionArn": run.execution_arn,
            "endedAt": format_instant(datetime.now(UTC)),
        }

    def answer(self, outcome: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """What the function returns."""
        return {
            "outcome": outcome,
            "error": self.reason.error,
            "cause": self.reason.cause,
            "result": result,
        }


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Invoked by the state machine with `{"executionArn", "failure": {Error, Cause}}`, and by a rule on Step
    Functions' status changes for executions that end where no Catch sees it.

    Returns `{"outcome", "error", "cause", "result"}`, where `outcome` is FAILED; or SUPERSEDED when the run
    had the lock and lost it to another one before it failed; or COMPLETED when its last write had been made
    and only the answer was lost; or REDRIVEN when the rule tells of an execution that runs again; or RELEASED
    when the lock was an erasure's that is not renewed any more. Done twice it changes nothing. Raises
    `HealthLakeBusy` when the job could not be cancelled, with the lock kept, since a second export must not
    start beside it.
    """
    failed = FailedExecution.from_event(event, aws_clients.stepfunctions())
    settings = export_settings()
    state = RunState(aws_clients.dynamodb(), settings.table, settings.datastore_id)
    if is_erasure(failed.execution_arn):
        return _release_erasure(state, failed)
    run = RunIdentity.of_execution(failed.execution_arn, settings.datastore_id)
    if failed.is_alive:
        logger().info("left alone: the execution was redriven", run_id=run.run_id)
        return failed.answer("REDRIVEN", {})
    current = state.read()
    if failed.reason.error == _A_RANGE_FAILED:
        failures = RangeFailures(aws_clients.dynamodb(), settings.table, run.run_id)
        failed = replace(failed, reason=failed.reason.with_detail(failures.first()))
    if current.owner == run.execution_arn:
        cancel_job(export_api(settings.datastore_id), current)
    if current.owner == run.execution_arn and _end_run(state, run, failed, current.job_id):
        outcome, result = _FAILED
    else:
        outcome, result = _how_it_ended(state, run, failed)
    _publish(state, settings.bus)
    return failed.answer(outcome, result)


def _release_erasure(state: RunState, failed: FailedExecution) -> dict[str, Any]:
    """An erasure whose process died is no run: it has no job, no audit item and no event."""
    released = state.release_stale(failed.execution_arn, format_instant(datetime.now(UTC)))
    logger().warning("erasure no longer holds the run lock", owner=failed.execution_arn, released=released)
    return failed.answer("RELEASED", {})


def _told_when_asked(executions: SFNClient, execution_arn: str) -> dict[str, Any]:
    """Status, error, cause and redrives of an execution, as far as it has them. A refusal becomes the cause:
    it must be seen, and must not keep the lock."""
    try:
        told = executions.describe_execution(executionArn=execution_arn)
    except (ClientError, BotoCoreError) as error:
        return {"cause": f"Why is not known: {presentable(error)}"}
    return {name: told[name] for name in ("status", "error", "cause", "redriveCount") if told.get(name)}


def _was_redriven(detail: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether an execution runs again since the event `detail`. DescribeExecution is eventually consistent:
    one that has just ended may be told to run, but then with no more redrives than the event knows."""
    since = told.get("redriveCount", 0) > (detail.get("redriveCount") or 0)
    return since and told.get("status") == "RUNNING"


def cancel_job(api: FhirExportApi, state: DatastoreState) -> None:
    """Cancel the export job of the run that holds the lock, known or only asked for, unless it has ended."""
    try:
        job_id = state.job_id or _job_asked_for(api, state)
        if job_id is not None and cancel_unless_ended(api, job_id):
            logger().warning("export job cancelled", run_id=state.run_id, job=job_id)
    except HealthLakeRefused as error:
        logger().warning("export job cannot be cancelled", run_id=state.run_id, reason=str(error))


def _job_asked_for(api: FhirExportApi, state: DatastoreState) -> str | None:
    """The job of a run that was stopped after it asked for one and before it wrote down which it got."""
    if state.requested_at is None or state.run_id is None:
        return None
    return api.find(export_job_name(state.run_id))


def _end_run(state: RunState, run: RunIdentity, failed: FailedExecution, job_id: str | None) -> bool:
    """Whether this ended the run; False when a write that was still under way has, its last one perhaps."""
    outcome = failed.outcome(run, job_id)
    closed = state.close(run, outcome, export_failed(outcome))
    if closed:
        _tell(outcome)
    return closed


def _how_it_ended(
    state: RunState, run: RunIdentity, failed: FailedExecution
) -> tuple[str, Mapping[str, Any]]:
    """How a run that does not own the lock ended, and what its execution's output says. It failed before
    it had the lock, or was ended by this very failure already; or it had completed; or it had the lock and
    lost it."""
    outcome = failed.outcome(run, job_id=None)
    if state.record_failure(run, outcome, export_failed(outcome)):
        _tell(outcome)
        return _FAILED
    audit = state.read_audit(run)
    if audit.get("status") == "COMPLETED":
        return "COMPLETED", {name: value for name, value in audit.items() if name not in ("pk", "sk")}
    if audit.get("status") == "FAILED" and audit.get("error") == failed.reason.error:
        return _FAILED
    return "SUPERSEDED", {"runId": run.run_id, "status": "SUPERSEDED"}


def _publish(state: RunState, bus: str) -> None:
    """Publish what waits. A bus that refuses must not hide why the run failed: the event stays in the
    outbox, and the next run that ends publishes it."""
    try:
        publish_outbox(state, aws_clients.events(), bus)
    except EventsNotAccepted as error:
        logger().error("event left in the outbox", reason=str(error))


def _tell(outcome: Mapping[str, Any]) -> None:
    count(ExportsFailed=1)
    logger().error("run failed", run_id=outcome["runId"], error=outcome["error"], reason=outcome["cause"])
