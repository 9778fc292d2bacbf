"""What each status of a HealthLake export job means for the run that waits for it.

Follows the values of `JobStatus` in the AWS HealthLake API Reference, «ExportJobProperties».
"""

from __future__ import annotations

from enum import Enum


class JobOutcome(Enum):
    """What to do about a job in a given status."""

    WAITING = "waiting"
    """Not running yet, or being cancelled: look again; the time does not count as running."""
    RUNNING = "running"
    """Running: look again, and mind how long it has been running."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """A status that this code does not know: look again, and count the time as running."""


_OUTCOMES = {
    "SUBMITTED": JobOutcome.WAITING,
    "QUEUED": JobOutcome.WAITING,
    "IN_PROGRESS": JobOutcome.RUNNING,
    "COMPLETED": JobOutcome.SUCCEEDED,
    "COMPLETED_WITH_ERRORS": JobOutcome.SUCCEEDED,
    "FAILED": JobOutcome.FAILED,
    "CANCEL_SUBMITTED": JobOutcome.WAITING,
    "CANCEL_IN_PROGRESS": JobOutcome.WAITING,
    "CANCEL_COMPLETED": JobOutcome.FAILED,
    # Somebody wanted the job gone and nobody knows what became of it. The next run starts its own, which
    # queues behind this one if it still runs.
    "CANCEL_FAILED": JobOutcome.FAILED,
}


def outcome_of(job_status: str) -> JobOutcome:
    """What `job_status` means for the waiting run."""
    return _OUTCOMES.get(job_status, JobOutcome.UNKNOWN)


def is_final(job_status: str) -> bool:
    """Whether a job in `job_status` has ended, so that there is nothing left to cancel."""
    return job_status != "CANCEL_FAILED" and outcome_of(job_status) in (
        JobOutcome.SUCCEEDED,
        JobOutcome.FAILED,
    )


def next_delay(previous: int, *, first: int, longest: int) -> int:
    """Seconds until the next look: half as long again each time, from `first` up to `longest`."""
    return min(longest, max(first, previous + max(1, previous // 2)))
