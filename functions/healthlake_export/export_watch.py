"""Watch of a running export job: by the chain of checks, and at once when HealthLake says it moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from common.errors import HubError
from common.observability import count, logger
from healthlake_export.check_messages import Check, CheckQueue
from healthlake_export.datastore_state import DatastoreState
from healthlake_export.errors import ExportFailed, ExportTimedOut, HealthLakeBusy, HealthLakeRefused
from healthlake_export.fhir_export_api import ExportJob, FhirExportApi
from healthlake_export.job_status import JobOutcome, outcome_of
from healthlake_export.run_state import RunState
from healthlake_export.settings import ExportSettings
from healthlake_export.task_callbacks import TaskCallbacks

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class WatchedJob:
    """The job of a run that exports: whose it is, which token its end goes to, and since when it runs,
    in seconds since 1970, if it was seen running."""

    execution_arn: str
    attempt: str
    task_token: str
    job_id: str
    requested_at: str
    running_since: int | None

    @classmethod
    def of(cls, state: DatastoreState) -> WatchedJob | None:
        """The job that `state` says is being exported, or None."""
        parts = (state.owner, state.attempt, state.task_token, state.job_id, state.requested_at)
        if state.phase != "EXPORTING" or None in parts:
            return None
        owner, attempt, task_token, job_id, requested_at = (part or "" for part in parts)
        return cls(owner, attempt, task_token, job_id, requested_at, state.running_since)


@dataclass(frozen=True)
class ExportWatcher:
    """Looks at the job of the run that holds the lock and tells the waiting state what it sees."""

    settings: ExportSettings
    api: FhirExportApi
    state: RunState
    callbacks: TaskCallbacks
    checks: CheckQueue
    executions: SFNClient
    now: Callable[[], datetime]

    def on_check(self, check: Check, message_id: str) -> None:
        """One link of the chain: look, and send the next link unless the wait is over."""
        if not self.state.claim_check(check.execution_arn, check.attempt, check.sequence, message_id):
            logger().info("check dropped: the chain has moved on", sequence=check.sequence)
            return
        job = WatchedJob.of(self.state.read())
        if job is not None and self._look(job):
            self.checks.send(
                check.following(first=self.settings.first_check_delay, longest=self.settings.max_check_delay)
            )

    def on_job_event(self, job_id: str) -> None:
        """HealthLake's own word that a job has moved; other runs' and other tools' jobs are left alone."""
        job = WatchedJob.of(self.state.read())
        if job is not None and job.job_id == job_id:
            self._look(job)

    def end_wait(self, error: HubError) -> bool:
        """Fail the wait that is under way; False when there is none."""
        job = WatchedJob.of(self.state.read())
        return job is not None and self.callbacks.fail(job.task_token, error)

    def _look(self, job: WatchedJob) -> bool:
        """Report the job's status to the waiting state; True while there is something left to wait for."""
        try:
            seen = self.api.describe(job.job_id)
        except HealthLakeBusy as error:
            logger().warning("HealthLake is busy; looking again later", job=job.job_id, reason=str(error))
            return self._fail_over_time(job) if self._is_over_time(job) else self._keep_alive(job)
        except HealthLakeRefused as error:
            return self._fail(job, error)
        status, outcome = seen.status, outcome_of(seen.status)
        logger().info("export job seen", job=job.job_id, status=status)
        if outcome is JobOutcome.SUCCEEDED:
            return self._succeed(job, status)
        if outcome is JobOutcome.FAILED:
            count(ExportJobsFailed=1)
            return self._fail(job, ExportFailed(_ended_badly(seen)))
        if outcome in (JobOutcome.RUNNING, JobOutcome.UNKNOWN) and self._ran_too_long(job):
            return self._fail_over_time(job)
        return self._keep_alive(job)

    def _succeed(self, job: WatchedJob, status: str) -> bool:
        output = {"jobId": job.job_id, "jobStatus": status, "requestedAt": job.requested_at}
        self.callbacks.succeed(job.task_token, output)
        return False

    def _fail(self, job: WatchedJob, error: HubError) -> bool:
        """Fail the wait; the clean-up that follows cancels the job if it still runs."""
        self.callbacks.fail(job.task_token, error)
        return False

    def _fail_over_time(self, job: WatchedJob) -> bool:
        count(ExportJobsFailed=1)
        hours = self.settings.max_export_seconds // 3600
        return self._fail(job, ExportTimedOut(f"Export job {job.job_id} ran for more than {hours} hours."))

    def _keep_alive(self, job: WatchedJob) -> bool:
        if self.callbacks.heartbeat(job.task_token):
            return True
        self._cancel_if_abandoned(job)
        return False

    def _ran_too_long(self, job: WatchedJob) -> bool:
        if job.running_since is None:
            self.state.note_running(job.execution_arn, job.job_id, self._seconds())
        return self._is_over_time(job)

    def _is_over_time(self, job: WatchedJob) -> bool:
        """Whether a job that was seen running has run longer than it may, by now or when last seen: one that
        HealthLake says nothing of any more is not waited for longer than one that runs."""
        since = job.running_since
        return since is not None and self._seconds() - since > self.settings.max_export_seconds

    def _seconds(self) -> int:
        return int(self.now().timestamp())

    def _cancel_if_abandoned(self, job: WatchedJob) -> None:
        """Cancel a job that nobody waits for any more: the execution has ended, and a conditional write
        shows that this attempt is still the one that exports."""
        status = self.executions.describe_execution(executionArn=job.execution_arn)["status"]
        if status == "RUNNING" or not self.state.still_exporting(job.execution_arn, job.attempt):
            return
        logger().warning("job of an ended execution is cancelled", job=job.job_id, execution=status)
        try:
            self.api.cancel(job.job_id)
        except HealthLakeRefused as error:
            logger().info("job had ended meanwhile", job=job.job_id, reason=str(error))


def _ended_badly(job: ExportJob) -> str:
    sentence = f"HealthLake ended export job {job.job_id} as {job.status}."
    return f"{sentence} The data access role lacks {job.refused}." if job.refused else sentence
