"""The loop: receive, work, commit, delete; one message at a time, until the worker drains.

Whatever ends it between two steps, even a SIGKILL, leaves a message that becomes visible again, and a
commit that is made once: the steps can be begun again from the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub_worker.aws import CALL_FAILED, error_code
from hub_worker.commits import Commits, Effect, Outcome
from hub_worker.drain import Drain
from hub_worker.errors import Abandoned, HandedBack, JobTooLong, PermanentFailure, PoisonMessage, ReceiptLost
from hub_worker.health import Health
from hub_worker.jobs import Job, Work
from hub_worker.jobs_queue import JobsQueue, Received
from hub_worker.lease import Lease
from hub_worker.logs import Log, where
from hub_worker.messages import JobMessage, parse_message
from hub_worker.metrics import Metrics
from hub_worker.objects import referenced

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_COUNTED = {
    Outcome.DONE: "JobsDone",
    Outcome.FAILED: "JobsFailed",
    Outcome.SUPERSEDED: "JobsSuperseded",
}
_LONGEST_PAUSE = 30.0


@dataclass
class Worker:
    """One worker with everything that it works with."""

    queue: JobsQueue
    commits: Commits
    s3: S3Client
    jobs: Mapping[str, Job]
    drain: Drain
    health: Health
    metrics: Metrics
    log: Log
    max_job: float
    until_empty: bool = False
    clock: Callable[[], float] = time.monotonic
    _failures: int = 0

    def run(self) -> None:
        """Work until the worker drains, or the queue is empty if it is to end then."""
        while not self.drain.asked:
            self.health.sign("idle")
            asked = self.clock()
            try:
                received = self.queue.receive()
            except CALL_FAILED as error:
                self._pause(error)
                continue
            self._failures = 0
            if received is None:
                self.metrics.add("WorkerIdleSeconds", self.clock() - asked)
                if self.until_empty:
                    break
            else:
                self._take(received, asked)
            self.metrics.flush_when_due()
        self.health.sign("draining")
        self.metrics.flush()

    def _pause(self, error: BaseException) -> None:
        """Wait before the next look at a queue that could not be looked at, longer each time."""
        self.log.warning("The queue cannot be read.", code=error_code(error))
        self._failures += 1
        self.drain.wait(min(0.5 * 2 ** min(self._failures, 10), _LONGEST_PAUSE))

    def _take(self, received: Received, asked: float) -> None:
        """Everything that one message asks for. Nothing that goes wrong with it ends the worker."""
        self.health.sign("working")
        lease = Lease(self.queue, received, asked, self.max_job, self.log, self.clock)
        begun = self.clock()
        try:
            if self.drain.asked:
                raise HandedBack
            with lease.kept():
                job = parse_message(received.body)
                outcome = self._do(job, lease)
        except Abandoned as abandoned:
            self._abandon(received, abandoned)
        except Exception as error:
            self._leave_for_retry(received, error)
        else:
            self._end(received, job, outcome, self.clock() - begun)

    def _end(self, received: Received, job: JobMessage, outcome: Outcome, seconds: float) -> None:
        """What is done and told of a job that has had its effect. A message that cannot be deleted comes
        again and is found to be a repeat."""
        deleted = self._told(lambda: self.queue.delete(received))
        self.health.jobs += 1
        self.metrics.job_took(seconds)
        if outcome in _COUNTED:
            self.metrics.add(_COUNTED[outcome])
        told = self.log.error if outcome is Outcome.FAILED else self.log.info
        told(
            "A job has ended.",
            outcome=outcome.value,
            job=job.transition_id,
            rule=job.rule,
            seconds=round(seconds, 3),
            deleted=deleted,
        )

    def _do(self, job: JobMessage, lease: Lease) -> Outcome:
        """Do a job that has not had its effect, and commit the effect."""
        if self.commits.committed(job):
            return Outcome.REPEATED
        do = self.jobs.get(job.rule)
        if do is None:
            raise PoisonMessage("No job is known for the rule of the message.")
        try:
            work = Work(referenced(self.s3, job), self.s3, lambda: self._check(lease))
            effect, outcome, more = do.run(work), Outcome.DONE, {}
        except PermanentFailure as failure:
            effect, outcome = Effect(change=do.failed(job, str(failure))), Outcome.FAILED
            more = {"reason": str(failure)}
        self._check(lease)
        return self.commits.commit(job, outcome, effect, **more)

    def _check(self, lease: Lease) -> None:
        """A sign of progress; raises Abandoned when the job is not to go on."""
        self.health.sign()
        lease.check()
        if self.drain.overdue:
            raise HandedBack

    def _abandon(self, received: Received, abandoned: Abandoned) -> None:
        match abandoned:
            case HandedBack():
                back = self._told(lambda: self.queue.hand_back(received))
                self.log.info("A job is handed back.", messageId=received.message_id, taken=back)
            case ReceiptLost():
                self.log.warning(
                    "A message was visible again; its job is left to others.", tries=received.tries
                )
            case JobTooLong():
                self._leave_for_retry(received, abandoned)

    def _leave_for_retry(self, received: Received, error: BaseException) -> None:
        """Let the message come again, later. What it always fails with ends in the dead-letter queue."""
        self.metrics.add("JobsRetried")
        reason = str(error) if isinstance(error, PoisonMessage) else error_code(error)
        self.log.error(
            "A job is left for another try.", reason=reason, where=where(error), tries=received.tries
        )
        self._told(lambda: self.queue.try_again_later(received) >= 0)

    def _told(self, call: Callable[[], bool]) -> bool:
        """Tell the queue; where it cannot be told, the visibility timeout does the same a little later."""
        try:
            return call()
        except CALL_FAILED as error:
            self.log.warning("The queue could not be told.", code=error_code(error))
            return False
