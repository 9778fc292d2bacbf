"""An erasure from its entry to the pass that finds nothing more. Every step may be done again."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from common.instants import format_instant
from healthlake_export.erasures import is_erasure
from local.erasure import stragglers
from local.erasure.entries import ErasureEntry
from local.erasure.findings import PassResult
from local.erasure.run_lock import Holder, LockLost, RunLock
from local.erasure.stack_buckets import StackBuckets, StackResource
from local.erasure.sweep import Sweep

MOST_PASSES = 6
"""Passes over the buckets. The second finds nothing unless somebody wrote meanwhile."""

_POLL_SECONDS = 5.0
_CLOCKS_DIFFER = timedelta(minutes=2)


class LockHeld(Exception):
    """The run lock was not free in the time that the erasure was to wait."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("The run lock is held.")
        self.holder = holder


class Step(Protocol):
    """A step that is shown while it goes on."""

    result: str
    failed: bool

    def progress(self, text: str) -> None:
        """Say how far it is."""


Steps = Callable[[str], AbstractContextManager[Step]]
"""Shows a step by its name."""


@dataclass(frozen=True)
class Ground:
    """The hub that a patient is erased from: its clients by service, its table, datastore and state machine,
    and the resources of its stack."""

    client: Callable[[str], Any]
    table: str
    datastore_id: str
    state_machine_arn: str
    resources: Sequence[StackResource]

    @property
    def buckets(self) -> StackBuckets:
        """The stack's buckets."""
        return StackBuckets.among(self.resources)

    @property
    def workgroups(self) -> list[str]:
        """Athena's workgroups in the stack."""
        return [one.name for one in self.resources if one.type == "AWS::Athena::WorkGroup"]


@dataclass
class Erased:
    """What came of an erasure: each of its passes, the last of which found nothing when it is `verified`."""

    passes: list[PassResult] = field(default_factory=list)
    verified: bool = False


@dataclass(frozen=True)
class Erasure:
    """Erases one patient. `wait_seconds` is how long to wait for the run lock, None as long as it takes."""

    ground: Ground
    patient_id: str
    erasure_id: str
    started_by: str
    steps: Steps
    wait_seconds: float | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep

    def look(self) -> PassResult:
        """Count what would go, and change nothing."""
        with self.steps("Look for the patient") as step:
            found = self._sweep(erase=False).run(step.progress)
            step.result = _told(found)
        return found

    def run(self) -> Erased:
        """Write the entry, take the run lock, and erase until a pass finds nothing.

        Raises `LockHeld`. Whatever ends it, doing it again goes on from there.
        """
        entry = self._entry()
        lock = self._lock()
        self._require_free(lock)
        written_at = self.clock()
        entry.write(format_instant(written_at), self.started_by)
        erased = Erased()
        while not erased.verified and len(erased.passes) < MOST_PASSES:
            self._take(lock)
            try:
                with lock.kept():
                    self._wait_for_writers(written_at, lock)
                    self._erase(erased, lock)
            except LockLost:
                continue
            break
        if erased.verified:
            entry.verified(format_instant(self.clock()))
        return erased

    def _entry(self) -> ErasureEntry:
        table = self.ground.table
        return ErasureEntry(self.ground.client("dynamodb"), table, self.ground.datastore_id, self.patient_id)

    def _lock(self) -> RunLock:
        table = self.ground.table
        return RunLock(
            self.ground.client("dynamodb"), table, self.ground.datastore_id, self.erasure_id, self.clock
        )

    def _require_free(self, lock: RunLock) -> None:
        """Who does not want to wait is told before anything is changed."""
        holder = lock.holder()
        if self.wait_seconds == 0 and holder is not None and not _is_stale(holder, self.clock()):
            raise LockHeld(holder)

    def _take(self, lock: RunLock) -> None:
        waited = 0.0
        with self.steps("Take the run lock") as step:
            while not lock.acquire():
                holder = lock.holder()
                if self.wait_seconds is not None and waited >= self.wait_seconds:
                    step.failed = True
                    raise LockHeld(holder)
                if holder is not None:
                    step.progress(f"waiting for {holder.owner.rpartition(':')[2]}, since {holder.since}")
                self.sleep(_POLL_SECONDS)
                waited += _POLL_SECONDS

    def _wait_for_writers(self, entry_at: datetime, lock: RunLock) -> None:
        """Wait for whoever was told what to write before the entry was there."""
        healthlake = self.ground.client("healthlake")
        runs = stragglers.EndedRuns(
            self.ground.client("stepfunctions"),
            self.ground.client("dynamodb"),
            self.ground.state_machine_arn,
            self.ground.table,
        )
        with self.steps("Wait for exports and functions under way") as step:
            while jobs := stragglers.unfinished_export_jobs(
                healthlake, self.ground.datastore_id, self.ground.buckets.covered
            ):
                step.progress(f"export job {jobs[0]}")
                self._pause(lock)
            while end := runs.functions_end_by(entry_at, self.clock()):
                step.progress(f"functions of a run that was stopped end by {format_instant(end)}")
                self._pause(lock)

    def _erase(self, erased: Erased, lock: RunLock) -> None:
        settled = False  # whether what had read before something was erased has ended
        while not erased.verified and len(erased.passes) < MOST_PASSES:
            again = bool(erased.passes)
            began = self.clock()
            with self.steps("Look for the patient again" if again else "Erase the patient") as step:
                # What they read before is written, perhaps, after it is looked for.
                reading = not settled and bool(self._queries(began + _CLOCKS_DIFFER))
                found = self._sweep(erase=True, lock=lock).run(step.progress)
                if not settled or found.did_anything:
                    self._wait_for_queries(lock, step)
                    settled = True
                found.uploads = self._abort_uploads(began)
                step.result = _told(found)
            stuck = again and found.left == erased.passes[-1].left and not found.did_anything
            erased.passes.append(found)
            erased.verified = (found.clean_of_data if again else found.clean) and not reading
            if stuck:
                return

    def _sweep(self, *, erase: bool, lock: RunLock | None = None) -> Sweep:
        require = lock.require if lock is not None else lambda: None
        return Sweep(self.ground.client("s3"), self.ground.buckets, self.patient_id, erase, require)

    def _wait_for_queries(self, lock: RunLock, step: Step) -> None:
        """A query that has read old files may write what it read; the next pass deletes it."""
        before = self.clock() + _CLOCKS_DIFFER
        while queries := self._queries(before):
            step.progress(f"waiting for {len(queries)} queries in Athena")
            self._pause(lock)

    def _queries(self, before: datetime) -> list[str]:
        """Those that were begun before that time and have not ended."""
        return [
            query
            for workgroup in self.ground.workgroups
            for query in stragglers.unfinished_queries(self.ground.client("athena"), workgroup, before)
        ]

    def _abort_uploads(self, before: datetime) -> int:
        s3 = self.ground.client("s3")
        return sum(
            stragglers.abort_uploads(s3, bucket.name, before) for bucket in self.ground.buckets.covered
        )

    def _pause(self, lock: RunLock) -> None:
        lock.require()
        self.sleep(_POLL_SECONDS)


def _is_stale(holder: Holder, now: datetime) -> bool:
    return is_erasure(holder.owner) and holder.stale_after < format_instant(now)


def _told(found: PassResult) -> str:
    total = found.total()
    seen = f"objects: {total.objects:,}, versions: {total.versions:,}"
    if found.clean:
        return f"nothing found; {seen}"
    return f"rows, lines and records: {total.erased:,}, old versions: {total.old_versions:,}; {seen}"
