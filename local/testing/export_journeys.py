"""Ways of an execution through the export workflow, each taken at most once, with what it met on its way.

A way is a situation (nothing to export, a lock that a dead run holds) and the faults that belong to it. A
journey is a way with further faults. The hub is shared by all of them and left with a free lock.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common import aws_clients
from common.instants import format_instant
from healthlake_export.run_state import RunState
from healthlake_export.table_keys import state_key
from local.stepfunctions.workbench_faults import Fault
from local.stepfunctions.workbench_run import Run
from local.testing.export_hub import ExportHub
from local.testing.mocked_hub import TABLE
from local.testing.state_machine_edges import END, Edge
from local.testing.task_faults import UNFORESEEN, answer_lost, function_error, unheard

Faults = Mapping[str, Sequence[Fault]]

_SECONDS = 60.0
_FORGED = function_error({"errorType": UNFORESEEN, "errorMessage": "A sentence for people."})


@dataclass(frozen=True)
class Journey:
    """How an execution went: states entered, with those of its map's children; and the errors by state."""

    path: tuple[str, ...]
    children: tuple[tuple[str, ...], ...]
    status: str
    error: str | None
    errors: Mapping[str, tuple[str, ...]]

    @property
    def states(self) -> set[str]:
        """Every state that was entered."""
        return {state for path in (self.path, *self.children) for state in path}

    @property
    def edges(self) -> set[Edge]:
        """Every transition that was made; the last is the one to the end."""
        return {
            Edge(source, target)
            for path in (self.path, *self.children)
            for source, target in zip(path, (*path[1:], END), strict=True)
        }


class Journeys:
    """Takes ways through the workflow of one hub."""

    def __init__(self, hub: ExportHub) -> None:
        self._hub = hub
        self._changes = 0

    def take(self, way: str, faults: Faults | None = None) -> Journey:
        """Take a way of `WAYS`, with faults at the calls of these states beside its own."""
        situation = WAYS[way]
        for state, planned in (faults or {}).items():
            self._hub.bench.call_faults.plan(state, *planned)
        try:
            run = situation(self)
            return _journey(run)
        finally:
            self._clear_up()

    def stopped_beside_an_unknown_run(self, request: Any, state: str) -> Journey:
        """Start an execution with that input while a run that nobody knows holds the lock; stop it once it
        is in that state."""
        self._hold_lock(timedelta(seconds=5))
        try:
            run = self._hub.bench.start(request)
            self._hub.bench.wait_until(lambda: state in run.path, _SECONDS)
            return _journey(run.stop())
        finally:
            self._clear_up()

    def _clear_up(self) -> None:
        self._hub.bench.call_faults.forget()
        for run in self._hub.bench.runs:
            if run.status == "RUNNING":
                run.stop()
        if (self._hub.state.owner or "").endswith(_UNKNOWN):
            self._free_lock()
        self._hub.bench.wait_until(lambda: self._hub.state.owner is None, _SECONDS)

    def _export(self, **faults: Fault | None) -> Run:
        self._changes += 1
        self._hub.put(("Patient", "p1"), multipleBirthInteger=self._changes)
        for state, fault in faults.items():
            if fault is not None:
                self._hub.bench.call_faults.plan(state.replace("_", " "), fault)
        return self._hub.run()

    def _nothing_to_export(self) -> Run:
        return self._hub.run({"types": ["Device"]})

    def _failing(self) -> Run:
        return self._export(Plan_Ranges=_FORGED)

    def _superseded(self) -> Run:
        def lose_the_lock(call: Callable[[], Any]) -> Any:
            self._free_lock()
            return _FORGED(call)

        return self._export(Plan_Ranges=lose_the_lock)

    def _complete_but_unanswered(self) -> Run:
        return self._export(Advance_Watermark=answer_lost(_FORGED))

    def _lock_just_released(self) -> Run:
        held = function_error({"errorType": "RunLockHeld", "errorMessage": "held"})
        return self._export(Acquire_Run_Lock=held)

    def _after_an_unknown_run(self) -> Run:
        self._hold_lock(timedelta(hours=2))
        return self._export()

    def _beside_an_unknown_run(self) -> Run:
        self._hold_lock(timedelta(seconds=5))
        return self._hub.run()

    def _waiting_for_an_unknown_run(self) -> Run:
        self._hold_lock(timedelta(seconds=5))
        run = self._hub.bench.start({"types": ["Patient"]})
        self._hub.bench.wait_until(lambda: run.path.count("Acquire Run Lock") > 1, _SECONDS)
        self._free_lock()
        return run.wait(_SECONDS)

    def _beside_a_live_run(self) -> Run:
        self._start_and_leave_waiting()
        return self._hub.run()

    def _after_a_dead_run(self) -> Run:
        functions = self._hub.bench.functions
        clean_up = functions["CleanUpFailedRunFunction"]
        functions["CleanUpFailedRunFunction"] = lambda _event, _context: None
        try:
            dead = self._start_and_leave_waiting().stop()
            self._hub.bench.wait_until(lambda: self._was_told_of(dead), _SECONDS)
        finally:
            functions["CleanUpFailedRunFunction"] = clean_up
        return self._export()

    def _was_told_of(self, run: Run) -> bool:
        """Whether the clean-up was called for this run: one of an earlier way may be called late."""
        return any(
            run.arn in json.dumps(call.event) for call in self._hub.bench.calls("CleanUpFailedRunFunction")
        )

    def _start_and_leave_waiting(self) -> Run:
        self._hub.bench.call_faults.plan("Wait For Export", unheard)
        run = self._hub.bench.start()
        self._hub.bench.wait_until(lambda: "Wait For Export" in run.path, _SECONDS)
        self._hub.bench.wait_until(lambda: not self._hub.bench.call_faults.left.get("Wait For Export"))
        return run

    def _hold_lock(self, age: timedelta) -> None:
        since = datetime.now(UTC) - age
        run_id = f"{uuid.uuid4()}{_UNKNOWN}"
        owner = self._hub.bench.state_machine.arn.replace(":stateMachine:", ":execution:") + f":{run_id}"
        state = RunState(aws_clients.dynamodb(), TABLE, self._hub.datastore.datastore_id)
        stale_after = format_instant(since + timedelta(hours=1))
        assert state.acquire(run_id, owner, now=format_instant(since), stale_after=stale_after)

    def _free_lock(self) -> None:
        aws_clients.dynamodb().update_item(
            TableName=TABLE,
            Key=state_key(self._hub.datastore.datastore_id),
            UpdateExpression="REMOVE #owner",
            ExpressionAttributeNames={"#owner": "owner"},
        )


_UNKNOWN = "-unknown"

WAYS: Mapping[str, Callable[[Journeys], Run]] = {
    "an export": Journeys._export,
    "nothing to export": Journeys._nothing_to_export,
    "an export that fails": Journeys._failing,
    "a run that lost its lock": Journeys._superseded,
    "a complete run whose last answer was lost": Journeys._complete_but_unanswered,
    "a lock released since the refusal": Journeys._lock_just_released,
    "the lock of a run that nobody knows any more": Journeys._after_an_unknown_run,
    "the lock of a run that nobody knows yet": Journeys._beside_an_unknown_run,
    "waiting for a run that nobody knows yet": Journeys._waiting_for_an_unknown_run,
    "the lock of a live run": Journeys._beside_a_live_run,
    "the lock of a dead run": Journeys._after_a_dead_run,
}
"""Every way by the situation it starts from; the first that enters a state is where its faults are tried."""


def _journey(run: Run) -> Journey:
    children = run.children
    errors: dict[str, list[str]] = {}
    for one in (run, *children):
        _collect_errors(one, errors)
    return Journey(
        path=tuple(run.path),
        children=tuple(tuple(child.path) for child in children),
        status=run.status,
        error=run.error,
        errors={state: tuple(found) for state, found in errors.items()},
    )


def _collect_errors(run: Run, errors: dict[str, list[str]]) -> None:
    state = ""
    for event in run.history:
        for key, details in event.items():
            if key == "stateEnteredEventDetails" and details:
                state = details["name"]
            elif key in _FAILURES and details:
                errors.setdefault(state, []).append(str(details.get("error")))


_FAILURES = ("taskFailedEventDetails", "taskTimedOutEventDetails", "mapRunFailedEventDetails")
