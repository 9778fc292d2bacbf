"""Ways of an execution through the redrive workflow, with what it met on its way.

A way is a situation (an empty queue, a lock that a dead redrive holds) and the faults that belong to it. A
journey is a way with further faults. The hub is shared by all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from local.stepfunctions.workbench_faults import Fault
from local.stepfunctions.workbench_run import Run
from local.testing.redrive_hub import RedriveHub
from local.testing.redrive_task_situations import TaskSituations
from local.testing.state_machine_edges import END, Edge

Faults = Mapping[str, Sequence[Fault]]

_BETWEEN_LOOKS = ("Was It A Long Wait?", "Wait Longer")


@dataclass(frozen=True)
class Journey:
    """How an execution went: states entered, and the errors by state. `inside` are the states of its map."""

    path: tuple[str, ...]
    inside: frozenset[str]
    status: str
    error: str | None
    errors: Mapping[str, tuple[str, ...]]

    @property
    def ways(self) -> tuple[str, ...]:
        """The states in the order in which they were entered first, without those between two looks: a move
        task takes as many looks as it takes."""
        return tuple(state for state in dict.fromkeys(self.path) if state not in _BETWEEN_LOOKS)

    @property
    def edges(self) -> set[Edge]:
        """Every transition that was made; the last of the map, and of the execution, are those to the end."""
        inner = [state for state in self.path if state in self.inside]
        outer = [state for state in self.path if state not in self.inside]
        return {
            Edge(source, target)
            for path in (inner, outer)
            if path
            for source, target in zip(path, [*path[1:], END], strict=True)
        }


class RedriveJourneys:
    """Takes ways through the workflow of one hub."""

    def __init__(self, hub: RedriveHub, inside: frozenset[str]) -> None:
        self._hub = hub
        self._inside = inside
        self._situations = TaskSituations(hub)

    def take(self, way: str, faults: Faults | None = None) -> Journey:
        """Take a way of `WAYS`, with faults at the calls of these states beside its own."""
        for state, planned in (faults or {}).items():
            self._hub.bench.call_faults.plan(state, *planned)
        functions = dict(self._hub.bench.functions)
        try:
            return self._journey(WAYS[way](self._situations))
        finally:
            self._hub.bench.functions.update(functions)
            self._clear_up()

    def _clear_up(self) -> None:
        self._hub.bench.call_faults.forget()
        for run in self._hub.bench.runs:
            if run.status == "RUNNING":
                run.stop()
        self._hub.bench.moves.reset()
        for url in self._hub.sqs.list_queues(QueueNamePrefix="hub-test-").get("QueueUrls", []):
            self._hub.sqs.delete_queue(QueueUrl=url)

    def _journey(self, run: Run) -> Journey:
        errors: dict[str, list[str]] = {}
        state = ""
        for event in run.history:
            for key, details in event.items():
                if key == "stateEnteredEventDetails" and details:
                    state = details["name"]
                elif key in ("taskFailedEventDetails", "taskTimedOutEventDetails") and details:
                    errors.setdefault(state, []).append(str(details.get("error")))
        return Journey(
            path=tuple(run.path),
            inside=self._inside,
            status=run.status,
            error=run.error,
            errors={state: tuple(found) for state, found in errors.items()},
        )


WAYS: Mapping[str, Callable[[TaskSituations], Run]] = {
    "messages that SQS moves": TaskSituations.bulk,
    "messages that go elsewhere": TaskSituations.elsewhere,
    "messages one by one": TaskSituations.counted,
    "messages of another kind": TaskSituations.of_another_kind,
    "more messages than one call takes": TaskSituations.in_several_calls,
    "messages that are left": TaskSituations.some_left,
    "messages that somebody hides": TaskSituations.hidden,
    "messages that somebody looks at": TaskSituations.hidden_from_one_call,
    "a call that dies": TaskSituations.a_death,
    "a call that dies on records": TaskSituations.a_death_of_records,
    "the lock of a dead redrive of records": TaskSituations.dead_owner_of_records,
    "a call that breaks": TaskSituations.a_defect,
    "calls that die": TaskSituations.many_deaths,
    "no messages": TaskSituations.nothing,
    "a dry run": TaskSituations.dry,
    "a wrong input": TaskSituations.refused,
    "no plan": TaskSituations.not_planned,
    "a consumer that stays broken": TaskSituations.returned,
    "the lock of a live redrive": TaskSituations.beside_another,
    "the lock of a redrive that nobody knows": TaskSituations.unknown_owner,
    "the lock of a redrive that nobody knows yet": TaskSituations.owner_not_known_yet,
    "the lock of a dead redrive": TaskSituations.dead_owner,
    "a lock that is free again": TaskSituations.lock_free_again,
    "the move task of somebody else": TaskSituations.foreign,
    "an ended move task of somebody else": TaskSituations.foreign_before,
    "a move task that somebody begins meanwhile": TaskSituations.foreign_meanwhile,
    "a move task that takes long": TaskSituations.long,
    "a start that was not answered": TaskSituations.start_unanswered,
    "a start that was not answered for long": TaskSituations.start_unanswered_for_long,
    "a start that is refused": TaskSituations.start_refused,
    "a start that is refused after a redrive by SQS": TaskSituations.start_refused_after_another,
    "a move task that was cancelled": TaskSituations.task_cancelled,
    "a move task that failed": TaskSituations.task_failed,
    "a move task that SQS has forgotten": TaskSituations.task_forgotten,
    "a move task that SQS forgets afterwards": TaskSituations.task_forgotten_afterwards,
    "a redrive that ended meanwhile": TaskSituations.after_another,
    "messages of unknown origin": TaskSituations.origin_unknown,
    "what no state is made for": TaskSituations.unforeseen,
    "more than an execution carries": TaskSituations.too_large,
}
"""Every way by the situation it starts from; the first that enters a state is where its faults are tried."""
