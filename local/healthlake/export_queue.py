"""Export jobs over time: one runs at a time per datastore, the others wait in order.

AWS HealthLake Developer Guide, "Exporting FHIR data with AWS HealthLake" (first in, first out) and "Service
quotas" (one running export job, not adjustable).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from local.healthlake.catalog import Catalog
from local.healthlake.clock import Clock
from local.healthlake.errors import FhirError, not_found
from local.healthlake.export_files import FileWriter
from local.healthlake.export_jobs import (
    CANCEL_SUBMITTED,
    CANCELLABLE,
    FINAL,
    IN_PROGRESS,
    ExportJob,
    ExportRequest,
    next_status,
)
from local.healthlake.export_work import ExportWork
from local.healthlake.faults import Faults
from local.healthlake.job_events import EventOutbox, export_event

KIND = "export"


@dataclass(frozen=True)
class Pace:
    """Seconds a job stays at least in a state; queued jobs go on as soon as the datastore is free."""

    submitted: float = 0.5
    in_progress: float = 1.5
    cancel: float = 0.2

    def of(self, job: ExportJob) -> float:
        """Seconds that `job` has to stay in its present state."""
        match job.status:
            case "SUBMITTED":
                return self.submitted
            case "IN_PROGRESS":
                return self.in_progress + job.faults.slow_seconds
            case "CANCEL_SUBMITTED" | "CANCEL_IN_PROGRESS":
                return self.cancel
            case _:
                return 0.0


class ExportQueue:
    """The export jobs of the account. With a `pace` threads move them; without one, `step` does."""

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        faults: Faults,
        outbox: EventOutbox,
        writer: FileWriter,
        pace: Pace | None,
        new_id: Callable[[], str],
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._faults = faults
        self._outbox = outbox
        self._work = ExportWork(catalog, writer)
        self._pace = pace
        self._new_id = new_id
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        self._workers: dict[str, threading.Thread] = {}
        self._stopped = False
        decoded = [msgspec.json.decode(saved, type=ExportJob) for saved in catalog.saved_jobs(KIND)]
        self._jobs = {job.job_id: job for job in decoded}
        for job in decoded:
            if job.status not in FINAL:
                self._wake(job.request.datastore_id)

    def submit(self, request: ExportRequest) -> ExportJob:
        """Take a job in; a repeated client token answers with the job it started."""
        datastore_id = request.datastore_id
        with self._changed:
            if request.client_token is not None:
                for earlier in self._of(datastore_id):
                    if earlier.request.client_token == request.client_token:
                        return earlier
            job = ExportJob(
                self._new_id(), request, self._clock.now_ms(), faults=self._faults.take_job_faults()
            )
            self._put(job)
        self._wake(datastore_id)
        return job

    def jobs(self, datastore_id: str) -> list[ExportJob]:
        """The datastore's jobs in order of submission."""
        with self._changed:
            return self._of(datastore_id)

    def get(self, datastore_id: str, job_id: str) -> ExportJob | None:
        """The job, if the datastore has it."""
        with self._changed:
            job = self._jobs.get(job_id)
        return job if job is not None and job.request.datastore_id == datastore_id else None

    def cancel(self, datastore_id: str, job_id: str) -> ExportJob:
        """Begin to cancel; FhirError 404 for no such job, 400 for one that has ended. Twice is once."""
        job = self.get(datastore_id, job_id)
        if job is None:
            raise not_found("The export job")
        with self._changed:
            job = self._jobs[job_id]
            if job.status in FINAL:
                raise FhirError(400, "conflict", "The export job has ended and cannot be cancelled.")
            if job.status in CANCELLABLE:
                job = replace(job, status=CANCEL_SUBMITTED)
                self._put(job)
        self._wake(datastore_id)
        return job

    def release(self, job_id: str | None = None) -> None:
        """Let a held job (or all of them) go on."""
        with self._changed:
            for job in list(self._jobs.values()):
                if job.faults.hold_status and job_id in (None, job.job_id):
                    self._jobs[job.job_id] = replace(job, faults=replace(job.faults, hold_status=None))
            self._changed.notify_all()

    def wait_for(self, job_id: str, *statuses: str, timeout: float = 30.0) -> ExportJob:
        """Block until the job is in one of `statuses`; TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._jobs[job_id].status in statuses, timeout):
                raise TimeoutError(f"export job is {self._jobs[job_id].status} after {timeout} s")
            return self._jobs[job_id]

    def step(self) -> list[tuple[str, str]]:
        """Move every job one state on, in order; returns (job id, new status) of those that moved."""
        moved = []
        for job in self._unfinished():
            if self._advance(job.job_id):
                moved.append((job.job_id, self._jobs[job.job_id].status))
        self._outbox.flush()
        return moved

    def forget(self, datastore_id: str | None = None) -> None:
        """Drop the jobs of a deleted datastore, or all."""
        with self._changed:
            for job in list(self._jobs.values()):
                if datastore_id in (None, job.request.datastore_id):
                    self._jobs.pop(job.job_id)
                    self._catalog.drop_job(job.job_id)
                    self._work.end(job.job_id)
            self._changed.notify_all()

    def stop(self) -> None:
        """End the worker threads."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            workers = list(self._workers.values())
        for worker in workers:
            worker.join(timeout=10)
        self._work.end_all()

    def _wake(self, datastore_id: str) -> None:
        if self._pace is None:
            self._outbox.flush()
            return
        with self._changed:
            self._changed.notify_all()
            if datastore_id not in self._workers and not self._stopped:
                worker = threading.Thread(
                    target=self._move_jobs,
                    args=(datastore_id,),
                    name=f"healthlake-{datastore_id}",
                    daemon=True,
                )
                self._workers[datastore_id] = worker
                worker.start()

    def _move_jobs(self, datastore_id: str) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                due = self._first_due(datastore_id)
                if due is None or due[0] > time.monotonic():
                    self._changed.wait(None if due is None else due[0] - time.monotonic())
                    continue
            self._advance(due[1])

    def _first_due(self, datastore_id: str) -> tuple[float, str] | None:
        candidates = [
            (self._due.get(job.job_id, 0.0), job.job_id)
            for job in self._of(datastore_id)
            if self._can_move(job)
        ]
        return min(candidates, default=None)

    def _can_move(self, job: ExportJob) -> bool:
        if job.status in FINAL or job.faults.hold_status == job.status:
            return False
        return job.status == IN_PROGRESS or next_status(job, free=self._is_free_for(job)) is not None

    def _is_free_for(self, job: ExportJob) -> bool:
        """Everything submitted earlier has ended, cancellations included."""
        for other in self._of(job.request.datastore_id):
            if other.job_id == job.job_id:
                break
            if other.status not in FINAL:
                return False
        return True

    def _advance(self, job_id: str) -> bool:
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or not self._can_move(job):
                return False
            if job.status != IN_PROGRESS:
                status = next_status(job, free=self._is_free_for(job))
                if status is None:
                    return False
                self._enter(job, status)
                return True
        self._finish(job)
        return True

    def _enter(self, job: ExportJob, status: str) -> None:
        if status == IN_PROGRESS:
            self._work.begin(job)
        ended = self._clock.now_ms() if status in FINAL else None
        if ended is not None:
            self._work.end(job.job_id)
        self._put(replace(job, status=status, ended=ended))

    def _finish(self, job: ExportJob) -> None:
        finished = self._work.outcome(job, lambda: self._jobs.get(job.job_id, job).status != IN_PROGRESS)
        with self._changed:
            if self._jobs.get(job.job_id, job).status == IN_PROGRESS and job.job_id in self._jobs:
                self._put(replace(finished, ended=self._clock.now_ms()))
            self._work.end(job.job_id)

    def _put(self, job: ExportJob) -> None:
        """Keep a changed job, note when it may change again, and line its event up; the lock is held."""
        self._jobs[job.job_id] = job
        self._catalog.save_job(KIND, job.job_id, msgspec.json.encode(job))
        if self._pace is not None:
            self._due[job.job_id] = time.monotonic() + self._pace.of(job)
        datastore = self._catalog.get(job.request.datastore_id)
        self._outbox.add(export_event(job, datastore, self._clock.now_ms()))
        self._changed.notify_all()

    def _of(self, datastore_id: str) -> list[ExportJob]:
        return [job for job in self._jobs.values() if job.request.datastore_id == datastore_id]

    def _unfinished(self) -> list[ExportJob]:
        with self._changed:
            return [job for job in self._jobs.values() if job.status not in FINAL]
