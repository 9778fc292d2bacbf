"""Faults on request: what should go wrong next, asked for by tests and by the admin API.

Each fault is used up by the jobs, calls or events that it hits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from local.healthlake.errors import ApiError, FhirError
from local.healthlake.http_types import Response


@dataclass(frozen=True)
class FailedResource:
    """A resource that an export job is to report in its error file instead of exporting it."""

    resource_type: str
    resource_id: str
    diagnostics: str = "The resource could not be exported."


@dataclass(frozen=True)
class JobFaults:
    """What one job was told to do wrong."""

    fail_message: str | None = None
    failed_resources: tuple[FailedResource, ...] = ()
    slow_seconds: float = 0.0
    hold_status: str | None = None
    cancel_fails: bool = False


@dataclass
class _Refusal:
    calls: int
    action: str | None
    status: int
    name: str


@dataclass
class _StandIn:
    calls: int
    action: str | None
    status: int
    body: str
    performed: bool


@dataclass
class _Pending:
    next_job: JobFaults = field(default_factory=JobFaults)
    refusals: list[_Refusal] = field(default_factory=list)
    stand_ins: list[_StandIn] = field(default_factory=list)
    dropped_events: int = 0
    dropped_detail_type: str | None = None


_OfCalls = TypeVar("_OfCalls", _Refusal, _StandIn)


class Faults:
    """The faults waiting to happen; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending = _Pending()

    def fail_next_job(self, message: str = "The export job failed.") -> None:
        """The next job ends FAILED with `message`."""
        self._change_next_job(fail_message=message)

    def errors_in_next_job(self, *resources: FailedResource) -> None:
        """The next job leaves these resources out, reports them, and ends COMPLETED_WITH_ERRORS."""
        self._change_next_job(failed_resources=resources)

    def slow_next_job(self, seconds: float) -> None:
        """The next job stays IN_PROGRESS for that much longer."""
        self._change_next_job(slow_seconds=seconds)

    def hold_next_job(self, status: str) -> None:
        """The next job stays in `status` until it is released."""
        self._change_next_job(hold_status=status)

    def fail_next_cancel(self) -> None:
        """A cancellation of the next job ends CANCEL_FAILED.

        AWS documents the status and not what the job does then. Here it has ended: it writes nothing more,
        sends no event (as no cancellation does), is refused another cancellation, and the next job begins.
        """
        self._change_next_job(cancel_fails=True)

    def throttle(self, calls: int, action: str | None = None) -> None:
        """The next calls (of one IAM action, if named) answer ThrottlingException."""
        self.refuse(calls, 429, "ThrottlingException", action)

    def refuse(self, calls: int, status: int, name: str, action: str | None = None) -> None:
        """The next calls answer with an AWS error of that name and, over REST, that status."""
        with self._lock:
            self._pending.refusals.append(_Refusal(calls, action, status, name))

    def answer(
        self, calls: int, status: int, body: str, action: str | None = None, *, performed: bool = False
    ) -> None:
        """The next calls (of one IAM action, if named) are answered with this status and text, whatever
        it is; `performed` says whether each does what it was asked to all the same."""
        with self._lock:
            self._pending.stand_ins.append(_StandIn(calls, action, status, body, performed))

    def drop_events(self, count: int, detail_type: str | None = None) -> None:
        """The next job events (of one detail-type, if named) are never delivered."""
        with self._lock:
            self._pending.dropped_events = count
            self._pending.dropped_detail_type = detail_type

    def clear(self) -> None:
        """Forget every fault that has not happened yet."""
        with self._lock:
            self._pending = _Pending()

    def waiting(self) -> dict[str, Any]:
        """The faults still to come, for people to read."""
        with self._lock:
            described: dict[str, Any] = msgspec.to_builtins(self._pending)
            return described

    def take_job_faults(self) -> JobFaults:
        """The faults of the job that is being submitted; later jobs get none of them."""
        with self._lock:
            taken, self._pending.next_job = self._pending.next_job, JobFaults()
            return taken

    def drops_event(self, detail_type: str) -> bool:
        """Whether this event is one to lose."""
        with self._lock:
            pending = self._pending
            hit = pending.dropped_events > 0 and pending.dropped_detail_type in (None, detail_type)
            pending.dropped_events -= hit
            return hit

    def check_rest_call(self, action: str) -> None:
        """Raise the refusal that waits for this REST call."""
        refusal = self._take(self._pending.refusals, action)
        if refusal is not None:
            code = "throttled" if refusal.status == 429 else "exception"
            raise FhirError(refusal.status, code, _refusal_text(refusal), refusal.name)

    def answered(self, action: str, perform: Callable[[], Response]) -> Response:
        """The answer to a call that `perform` carries out, unless another one was asked for."""
        stand_in = self._take(self._pending.stand_ins, action)
        if stand_in is None:
            return perform()
        if stand_in.performed:
            perform()
        return Response(stand_in.status, stand_in.body.encode(), {"content-type": "text/html"})

    def check_api_call(self, action: str) -> None:
        """Raise the refusal that waits for this JSON API call; awsJson knows 400 and, for faults, 500."""
        refusal = self._take(self._pending.refusals, action)
        if refusal is not None:
            raise ApiError(refusal.name, _refusal_text(refusal), 500 if refusal.status >= 500 else 400)

    def _take(self, waiting: list[_OfCalls], action: str) -> _OfCalls | None:
        """Use up one call of the first fault that `action` meets."""
        with self._lock:
            for fault in waiting:
                if fault.action in (None, action):
                    fault.calls -= 1
                    if fault.calls <= 0:
                        waiting.remove(fault)
                    return fault
            return None

    def _change_next_job(self, **changes: Any) -> None:
        with self._lock:
            self._pending.next_job = replace(self._pending.next_job, **changes)


def _refusal_text(refusal: _Refusal) -> str:
    if refusal.name == "ThrottlingException":
        return "Rate exceeded"
    return f"{refusal.name} was asked for."
