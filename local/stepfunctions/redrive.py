"""Which executions can be redriven, and what a description says about it.

A redriven execution goes on in the state in which it ended, with that state's input, its history, ARN and
name; a failed or stopped distributed map runs its unsuccessful children again (`mending.map_redrive`).
Unlike AWS, a Parallel state or an inline map runs all of its branches or iterations again.

AWS documentation: "Restarting state machine executions with redrive in Step Functions"; API reference
"RedriveExecution", "DescribeExecution" (redriveStatus, redriveStatusReason).
"""

from __future__ import annotations

import datetime
from typing import Any

from local.stepfunctions.errors import StepFunctionsError
from local.stepfunctions.execution import Execution

REDRIVABLE_PERIOD = datetime.timedelta(days=14)
MOST_EVENTS = 24_999
TOKENS_ARE_KNOWN_FOR = datetime.timedelta(minutes=15)
TOKENS_KEPT = 10

_UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")


def refusal(execution: Execution, now: datetime.datetime) -> str | None:
    """Why the execution cannot be redriven, in the words of redriveStatusReason; None when it can."""
    if execution.status not in _UNSUCCESSFUL:
        return f"Execution is {execution.status} and cannot be redriven"
    if execution.state_machine.type != "STANDARD":
        return "Execution of an EXPRESS state machine cannot be redriven"
    if execution.stop_date is not None and now - execution.stop_date > REDRIVABLE_PERIOD:
        return "Execution redrivable period exceeded"
    if len(execution.events) >= MOST_EVENTS:
        return "Execution history event limit exceeded"
    return None


def description(execution: Execution, now: datetime.datetime) -> dict[str, Any]:
    """The members of DescribeExecution about redriving; times are datetimes."""
    reason = refusal(execution, now)
    if reason is not None:
        status = "NOT_REDRIVABLE"
    else:
        status = "REDRIVABLE" if execution.map_run_arn is None else "REDRIVABLE_BY_MAP_RUN"
    return {
        **counts(execution),
        "redriveStatus": status,
        **({} if reason is None else {"redriveStatusReason": reason}),
    }


def counts(execution: Execution) -> dict[str, Any]:
    """How often and when last it was redriven."""
    dates = {} if execution.redrive_date is None else {"redriveDate": execution.redrive_date}
    return {"redriveCount": execution.redrive_count, **dates}


def assert_redrivable(execution: Execution, now: datetime.datetime) -> None:
    """Raises ExecutionNotRedrivable for an execution that cannot be redriven, or only by its map run."""
    reason = refusal(execution, now)
    if reason is None and execution.map_run_arn is not None:
        reason = "Execution can be redriven only by its Map Run"
    if reason is not None:
        raise StepFunctionsError("ExecutionNotRedrivable", f"{reason}: '{execution.arn}'")


class ClientTokens:
    """Tokens of the redrives of each execution: the same one again redrives nothing."""

    def __init__(self) -> None:
        self._used: dict[str, list[tuple[str, datetime.datetime]]] = {}

    def redriven_at(self, arn: str, token: str | None, now: datetime.datetime) -> datetime.datetime | None:
        """When that token redrove the execution, as far as it is still known."""
        known = [at for used, at in self._used.get(arn, []) if used == token]
        return next((at for at in known if now - at <= TOKENS_ARE_KNOWN_FOR), None)

    def note(self, arn: str, token: str | None, now: datetime.datetime) -> None:
        """Remember the token of a redrive."""
        if token is not None:
            self._used[arn] = [*self._used.get(arn, []), (token, now)][-TOKENS_KEPT:]

    def clear(self) -> None:
        """Forget every token."""
        self._used.clear()
