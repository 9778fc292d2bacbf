"""Ways of an execution through the redrive workflow, with what it met on its way.

A way is a situation (an empty queue, a lock that a dead redrive holds) and the faults that belong to it. A
journey is a way with further faults. The hub is shared by all of them; each has queues of its own, and only
one dead-letter queue in which something waits, so that the states of its map follow one another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.stepfunctions.workbench_faults import Fault
from local.stepfunctions.workbench_run import Run
from local.testing.redrive_hub import DEFINITION, RedriveHub
from local.testing.redrive_queues import Queue
from local.testing.state_machine_edges import END, Edge
from local.testing.task_faults import answer_lost, refusal

Faults = Mapping[str, Sequence[Fault]]

MAP = "Redrive Each Queue"
_SECONDS = 60.0
_WAITING = "Wait For The Move Task"
_BETWEEN_LOOKS = ("Was It A Long Wait?", "Wait Longer")
_LONG_WAITS = 9


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
        self._pairs = 0

    def take(self, way: str, faults: Faults | None = None) -> Journey:
        """Take a way of `WAYS`, with faults at the calls of these states beside its own."""
        for state, planned in (faults or {}).items():
            self._hub.bench.call_faults.plan(state, *planned)
        functions = dict(self._hub.bench.functions)
        try:
            return self._journey(WAYS[way](self))
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

    def _pair(self, *bodies: str) -> tuple[Queue, Queue]:
        self._pairs += 1
        dead, work = self._hub.pair(f"-{self._pairs}")
        self._hub.die(work, *(bodies or ("a",)))
        return dead, work

    def _plan(self, **faults: Fault) -> None:
        for state, fault in faults.items():
            self._hub.bench.call_faults.plan(state.replace("_", " "), fault)

    def _bulk(self) -> Run:
        self._pair()
        return self._hub.run()

    def _elsewhere(self) -> Run:
        dead, _ = self._pair()
        other = self._hub.queue(f"other-{self._pairs}")
        return self._hub.run({"queueArn": dead.arn, "destinationArn": other.arn, "mode": "bulk"})

    def _counted(self) -> Run:
        self._pair()
        return self._hub.run({"mode": "counted"})

    def _of_another_kind(self) -> Run:
        self._pairs += 1
        queue = self._hub.queue(f"rule-{self._pairs}", kind="rule")
        self._hub.send(queue, ["a"])
        return self._hub.run()

    def _in_several_calls(self) -> Run:
        return self._answering({"more": True}, {})

    def _some_left(self) -> Run:
        return self._answering({"emptied": False, "failed": 1, "failures": {"TargetGone": 1}})

    def _answering(self, *changes: Mapping[str, Any]) -> Run:
        """The calls of the counting function answer what they do, with these changes."""
        handler, left = self._hub.bench.functions["RedriveMessagesFunction"], list(changes)

        def answer(event: Any, context: Any) -> Any:
            return {**handler(event, context), **(left.pop(0) if left else {})}

        self._hub.bench.functions["RedriveMessagesFunction"] = answer
        return self._counted()

    def _nothing(self) -> Run:
        self._pairs += 1
        self._hub.pair(f"-{self._pairs}")
        return self._hub.run()

    def _dry(self) -> Run:
        return self._hub.run({"dryRun": True})

    def _refused(self) -> Run:
        return self._hub.run({"queueArn": "x"})

    def _not_planned(self) -> Run:
        self._plan(Plan_Redrive=refusal("Lambda.ResourceNotFoundException"))
        return self._hub.run()

    def _returned(self) -> Run:
        _, work = self._pair()
        self._hub.settled_by(self._hub.consumer(work, takes=lambda _: False))
        return self._hub.run()

    def _beside_another(self) -> Run:
        self._moving()
        return self._moved()

    def _after_an_unknown_one(self) -> Run:
        dead, _ = self._pair()
        self._hub.hold_lock(dead, self._hub.execution_arn("nobody-knows-it"))
        return self._hub.run()

    def _after_a_dead_one(self) -> Run:
        self._moving().stop()
        return self._moved()

    def _lock_free_again(self) -> Run:
        dead, _ = self._pair()
        self._hub.hold_lock(dead, self._hub.execution_arn("nobody-knows-it"))

        def free(call: Callable[[], Any]) -> Any:
            self._hub.free_lock(dead)
            return call()

        self._plan(Read_The_Lock=free)
        return self._hub.run()

    def _foreign(self) -> Run:
        dead, _ = self._pair()
        self._hub.bench.moves.pause()
        self._hub.sqs.start_message_move_task(SourceArn=dead.arn)
        return self._hub.run()

    def _long(self) -> Run:
        self._pair()
        self._hub.bench.moves.pause()
        run = self._hub.bench.start()
        self._hub.bench.wait_until(lambda: run.path.count(_WAITING) >= _LONG_WAITS, _SECONDS)
        self._hub.bench.moves.resume()
        return run.wait(_SECONDS)

    def _start_unanswered(self) -> Run:
        self._pair()
        self._plan(Start_The_Move_Task=answer_lost(refusal("Sqs.UnsupportedOperationException")))
        self._hub.bench.moves.pause()
        return self._moved()

    def _start_refused(self) -> Run:
        self._plan(Start_The_Move_Task=refusal("Sqs.UnsupportedOperationException"))
        return self._bulk()

    def _task_cancelled(self) -> Run:
        dead, run = self._moving_from()
        listed = self._hub.sqs.list_message_move_tasks(SourceArn=dead.arn)["Results"]
        self._hub.sqs.cancel_message_move_task(TaskHandle=listed[0]["TaskHandle"])
        self._hub.bench.moves.resume()
        return run.wait(_SECONDS)

    def _task_failed(self) -> Run:
        _, run = self._moving_from(delete_work=True)
        self._hub.bench.moves.resume()
        return run.wait(_SECONDS)

    def _origin_unknown(self) -> Run:
        """Messages that were sent to the dead-letter queue itself: SQS does not know where they belong."""
        self._pairs += 1
        dead, _ = self._hub.pair(f"-{self._pairs}")
        self._hub.send(dead, ["a"])
        return self._hub.run()

    def _unforeseen(self) -> Run:
        """An error of a state that has lost its catcher: with it, none leaves the map but those of Step
        Functions itself, which this engine cannot make."""
        self._pair()
        definition = json.loads(DEFINITION.read_text())
        del definition["States"][MAP]["ItemProcessor"]["States"]["Look Again"]["Catch"]
        self._hub.bench.update(definition)
        self._plan(Look_Again=refusal("Sqs.UnforeseenException"))
        try:
            return self._hub.run()
        finally:
            self._hub.bench.update(DEFINITION)

    def _moved(self) -> Run:
        """A redrive whose move task goes on once it waits for it, if it does."""
        run = self._hub.bench.start()
        self._hub.bench.wait_until(lambda: _WAITING in run.path or run.status != "RUNNING", _SECONDS)
        self._hub.bench.moves.resume()
        return run.wait(_SECONDS)

    def _moving(self) -> Run:
        return self._moving_from()[1]

    def _moving_from(self, delete_work: bool = False) -> tuple[Queue, Run]:
        dead, work = self._pair()
        self._hub.bench.moves.pause()
        run = self._hub.start(until=_WAITING)
        if delete_work:
            self._hub.sqs.delete_queue(QueueUrl=work.url)
        return dead, run


WAYS: Mapping[str, Callable[[RedriveJourneys], Run]] = {
    "messages that SQS moves": RedriveJourneys._bulk,
    "messages that go elsewhere": RedriveJourneys._elsewhere,
    "messages one by one": RedriveJourneys._counted,
    "messages of another kind": RedriveJourneys._of_another_kind,
    "more messages than one call takes": RedriveJourneys._in_several_calls,
    "messages that are left": RedriveJourneys._some_left,
    "no messages": RedriveJourneys._nothing,
    "a dry run": RedriveJourneys._dry,
    "a wrong input": RedriveJourneys._refused,
    "no plan": RedriveJourneys._not_planned,
    "a consumer that stays broken": RedriveJourneys._returned,
    "the lock of a live redrive": RedriveJourneys._beside_another,
    "the lock of a redrive that nobody knows": RedriveJourneys._after_an_unknown_one,
    "the lock of a dead redrive": RedriveJourneys._after_a_dead_one,
    "a lock that is free again": RedriveJourneys._lock_free_again,
    "the move task of somebody else": RedriveJourneys._foreign,
    "a move task that takes long": RedriveJourneys._long,
    "a start that was not answered": RedriveJourneys._start_unanswered,
    "a start that is refused": RedriveJourneys._start_refused,
    "a move task that was cancelled": RedriveJourneys._task_cancelled,
    "a move task that failed": RedriveJourneys._task_failed,
    "messages of unknown origin": RedriveJourneys._origin_unknown,
    "what no state is made for": RedriveJourneys._unforeseen,
}
"""Every way by the situation it starts from; the first that enters a state is where its faults are tried."""
