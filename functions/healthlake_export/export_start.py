"""Start of a run's export job, exactly one however often the start message is delivered.

Before anything is posted a conditional write makes one invocation the holder of the STARTING phase. When
the holder dies, the phase expires and the next delivery looks for a job of the run's name before it
posts. The job's name is derived from the run, so what it finds is the run's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from common.instants import format_instant
from common.observability import logger
from healthlake_export.check_messages import Check, CheckQueue
from healthlake_export.errors import HealthLakeBusy, HealthLakeRefused, RunSuperseded
from healthlake_export.fhir_export_api import (
    ExportRequest,
    FhirExportApi,
    cancel_unless_ended,
    export_job_name,
)
from healthlake_export.job_status import next_delay
from healthlake_export.run_context import RunContext
from healthlake_export.run_state import RunState
from healthlake_export.settings import ExportSettings
from healthlake_export.task_callbacks import TaskCallbacks, attempt_of

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_SUPERSEDED = "The run no longer owns the run lock of its datastore; another run covers its window."


@dataclass(frozen=True)
class StartMessage:
    """What the waiting state sends: the run, the token that ends the wait, and the delay before this try."""

    run: RunContext
    task_token: str
    delay: int = 0

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> StartMessage:
        """The message in a queue message's body."""
        return cls(RunContext.from_state(body["run"]), body["taskToken"], body.get("delay", 0))

    def to_body(self) -> dict[str, Any]:
        """The body that carries the message."""
        return {"run": self.run.to_state(), "taskToken": self.task_token, "delay": self.delay}


class StartQueue:
    """The queue that start messages come from and, when HealthLake says «not now», go back to."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send_later(self, message: StartMessage) -> None:
        """Send the message again, to be delivered after its delay."""
        self._client.send_message(
            QueueUrl=self._url, MessageBody=json.dumps(message.to_body()), DelaySeconds=message.delay
        )


@dataclass(frozen=True)
class ExportStarter:
    """Starts export jobs. `now` gives the time, `invocation` is an id of this invocation alone."""

    settings: ExportSettings
    api: FhirExportApi
    state: RunState
    callbacks: TaskCallbacks
    checks: CheckQueue
    starts: StartQueue
    now: Callable[[], datetime]
    invocation: str

    def handle(self, message: StartMessage) -> None:
        """Start the run's export unless it has been started; see to it that the chain of checks runs."""
        run, attempt = message.run, attempt_of(message.task_token)
        current = self.state.read()
        if current.owner != run.execution_arn:
            self._leave_nothing_behind(run)
            self.callbacks.fail(message.task_token, RunSuperseded(_SUPERSEDED))
        elif not self.callbacks.heartbeat(message.task_token):
            # A late copy, or the wait is over: its token must not take the place of a living one.
            logger().info("start dropped: nobody waits for it", run_id=run.run_id)
        elif current.phase == "EXPORTING":
            self._watch_running_job(message, attempt, current.attempt)
        elif not self._begin(message, attempt):
            logger().info("start is in other hands", run_id=run.run_id)
            self._try_later(message)
        else:
            self._start_or_find(message, attempt, may_exist=current.requested_at is not None)

    def _leave_nothing_behind(self, run: RunContext) -> None:
        """Cancel a job that an earlier try of a run which has lost the lock may have started."""
        job_id = self.api.find(export_job_name(run.run_id))
        if job_id is not None and cancel_unless_ended(self.api, job_id):
            logger().warning("job of a superseded run is cancelled", run_id=run.run_id, job=job_id)

    def _watch_running_job(self, message: StartMessage, attempt: str, known_attempt: str | None) -> None:
        if known_attempt != attempt:
            self.state.adopt_job(message.run.execution_arn, attempt, message.task_token)
        self._watch(message.run, attempt)

    def _begin(self, message: StartMessage, attempt: str) -> bool:
        now = self.now()
        return self.state.begin_start(
            message.run.execution_arn,
            attempt,
            message.task_token,
            self.invocation,
            now=int(now.timestamp()),
            until=int((now + timedelta(seconds=self.settings.start_expiry)).timestamp()),
            at=format_instant(now),
        )

    def _start_or_find(self, message: StartMessage, attempt: str, *, may_exist: bool) -> None:
        run = message.run
        try:
            job_id = self._job_id(run, may_exist=may_exist)
        except HealthLakeBusy as error:
            logger().warning("HealthLake is busy; trying again later", run_id=run.run_id, reason=str(error))
            self.state.give_up_start(run.execution_arn, self.invocation)
            self._try_later(message)
            return
        except HealthLakeRefused as error:
            self.state.give_up_start(run.execution_arn, self.invocation)
            self.callbacks.fail(message.task_token, error)
            return
        if self.state.record_job(run.execution_arn, self.invocation, job_id):
            logger().info("export job started", run_id=run.run_id, job=job_id)
            self._watch(run, attempt)
        else:
            cancel_unless_ended(self.api, job_id)
            self.callbacks.fail(message.task_token, RunSuperseded(_SUPERSEDED))

    def _job_id(self, run: RunContext, *, may_exist: bool) -> str:
        name = export_job_name(run.run_id)
        found = self.api.find(name) if may_exist else None
        return found or self.api.start(self._request(run, name))

    def _request(self, run: RunContext, name: str) -> ExportRequest:
        return ExportRequest(
            job_name=name,
            output_uri=f"s3://{self.settings.bucket}/exports/{run.run_id}",
            kms_key_arn=self.settings.kms_key_arn,
            data_access_role_arn=self.settings.data_access_role_arn,
            since=run.since,
            until=run.until,
            types=run.types,
        )

    def _watch(self, run: RunContext, attempt: str) -> None:
        """Send the first check. One too many is dropped: a check's number is claimed by one message."""
        self.checks.send(Check(run.execution_arn, attempt, 0, self.settings.first_check_delay))

    def _try_later(self, message: StartMessage) -> None:
        delay = next_delay(
            message.delay, first=self.settings.first_check_delay, longest=self.settings.max_check_delay
        )
        self.starts.send_later(StartMessage(message.run, message.task_token, delay))
