"""The error and cause of a failed state, as a person understands them and as *Fail* takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_LONGEST_CAUSE = 2_000

EXPLAINED = {
    "States.HeartbeatTimeout": "No check of the export job was heard of for too long; the chain of checks "
    "broke or the check function fails. Look at its log and at the check queue's dead-letter queue.",
    "States.Timeout": "A state took longer than it may, or the export stayed queued for days.",
    "States.DataLimitExceeded": "A state's input or output was larger than Step Functions takes.",
    "States.ExceedToleratedFailureThreshold": "A byte range could not be processed. The failed child "
    "execution of the map, its log and the quarantine tell where.",
    "RunAbandoned": "The execution that held the run lock ended without releasing it; the next run did.",
    "ABORTED": "The execution was stopped.",
    "TIMED_OUT": "The execution took longer than it may.",
}

_TOLD_BY_PEOPLE = ("ABORTED", "TIMED_OUT")
"""Whoever stops an execution may say why, and so does a clean-up that may not ask."""


@dataclass(frozen=True)
class FailureReason:
    """Why a run failed. `error` never begins with `States.`, which *Fail* may not use."""

    error: str
    cause: str

    def with_detail(self, detail: str | None) -> FailureReason:
        """The reason with a sentence before its cause that says more."""
        return self if detail is None else replace(self, cause=f"{detail} {self.cause}"[:_LONGEST_CAUSE])


def failure_reason(failure: Mapping[str, Any]) -> FailureReason:
    """The reason in the error output of a Catch, `{"Error", "Cause"}`.

    A Lambda function's cause is a JSON text of which only `errorMessage` is taken: own errors carry fixed
    messages, and the rest of that text (a stack trace) belongs in the log.
    """
    error = str(failure.get("Error") or "Unknown")
    told, explained = _message(failure.get("Cause")), EXPLAINED.get(error)
    if explained and told and error in _TOLD_BY_PEOPLE:
        explained = f"{explained} {told}"
    cause = explained or told or "No cause was given."
    return FailureReason(error.removeprefix("States."), cause[:_LONGEST_CAUSE])


def _message(cause: Any) -> str | None:
    try:
        parsed = json.loads(cause)
    except (TypeError, ValueError):
        return cause if isinstance(cause, str) else None
    message = parsed.get("errorMessage") if isinstance(parsed, dict) else None
    return message if isinstance(message, str) else None
