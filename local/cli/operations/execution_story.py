"""What an execution's history says went wrong: which state failed, how often, and why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from healthlake_export.failure_reason import failure_reason

_PAGE = 1000
# What is routine, or comes after the failure and because of it.
_ROUTINE = frozenset({"RunLockHeld", "ExportsPaused"})
_AFTERMATH = frozenset({"Clean Up Failed Run", "Publish Export Completed"})


@dataclass(frozen=True)
class StateFailure:
    """A state that failed, `tries` times in a row with the same error; `seconds` after the start, the last
    time."""

    state: str
    error: str
    cause: str
    seconds: float
    tries: int = 1

    def document(self) -> dict[str, Any]:
        return asdict(self)


def read_history(client: Any, execution_arn: str) -> Iterator[Mapping[str, Any]]:
    """Every event of an execution («GetExecutionHistory»), without inputs and outputs."""
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, includeExecutionData=False, PaginationConfig={"PageSize": _PAGE}
    )
    for page in pages:
        yield from page["events"]


def failures(events: Iterable[Mapping[str, Any]], started: datetime) -> list[StateFailure]:
    """Every failure of a state in order; tries with the same error are one."""
    found: list[StateFailure] = []
    state = ""
    for event in events:
        details: Mapping[str, str] = next(
            (value for name, value in event.items() if name.endswith("EventDetails")), {}
        )
        if event["type"].endswith("StateEntered"):
            state = details.get("name", "")
        elif details.get("error") and not event["type"].startswith("Execution"):
            reason = failure_reason({"Error": details["error"], "Cause": details.get("cause")})
            if reason.error not in _ROUTINE:
                seconds = round((event["timestamp"] - started).total_seconds(), 1)
                _add(found, StateFailure(state, reason.error, reason.cause, seconds))
    return found


def failed_state(found: Iterable[StateFailure]) -> StateFailure | None:
    """The failure that ended the run: the last, but for those of what is done after a failure."""
    return next((one for one in reversed(list(found)) if one.state not in _AFTERMATH), None)


def _add(found: list[StateFailure], failure: StateFailure) -> None:
    last = found[-1] if found else None
    if last is not None and (last.state, last.error) == (failure.state, failure.error):
        found[-1] = replace(failure, tries=last.tries + 1)
    else:
        found.append(failure)
