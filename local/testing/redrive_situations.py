"""Situations that a redrive starts from: an empty queue, messages that cannot be handled, calls that die.

Each of the methods brings its situation about in one hub, lets a redrive run and returns it. Each has queues
of its own, and only one dead-letter queue in which something waits, so that the states of its map follow one
another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from local.stepfunctions.workbench_faults import Fault
from local.stepfunctions.workbench_run import Run
from local.testing.redrive_hub import COUNTING, DEFINITION, RedriveHub
from local.testing.redrive_queues import Queue
from local.testing.task_faults import function_error, refusal

MAP = "Redrive Each Queue"
_DIED = function_error({"errorType": "Runtime.ExitError"})
_DEFECT = function_error({"errorMessage": "A defect.", "errorType": "UnexpectedError", "stackTrace": ["a"]})
_TOO_OFTEN = 9
_TOO_LARGE = 300_000


class Situations:
    """Situations of one hub."""

    def __init__(self, hub: RedriveHub) -> None:
        self.hub = hub
        self._pairs = 0

    def pair(self, *bodies: str) -> tuple[Queue, Queue]:
        """A dead-letter queue in which messages lie, and the queue that they died in."""
        self._pairs += 1
        dead, work = self.hub.pair(f"-{self._pairs}")
        self.hub.die(work, *(bodies or ("a",)))
        return dead, work

    def other_queue(self, kind: str | None = None) -> Queue:
        """A queue that no other one names."""
        self._pairs += 1
        return self.hub.queue(f"other-{self._pairs}", kind=kind)

    def plan(self, *faults: Fault, at: str) -> None:
        """Let the next calls that a state makes meet faults."""
        self.hub.bench.call_faults.plan(at, *faults)

    def counted(self) -> Run:
        self.pair()
        return self.hub.run({"mode": "counted"})

    def of_another_kind(self) -> Run:
        self.hub.send(self.other_queue("rule"), ["a"])
        return self.hub.run()

    def in_several_calls(self) -> Run:
        return self._answering({"more": True}, {})

    def some_left(self) -> Run:
        return self._answering({"emptied": False, "failed": 1, "failures": {"TargetGone": 1}})

    def too_large(self) -> Run:
        return self._answering({"failures": {"x" * _TOO_LARGE: 1}})

    def a_death(self) -> Run:
        self.plan(_DIED, at="Redrive Messages")
        return self.counted()

    def a_death_of_records(self) -> Run:
        self.plan(_DIED, at="Redrive Messages")
        self.hub.send(self.other_queue("stream"), ["a"])
        return self.hub.run()

    def dead_owner_of_records(self) -> Run:
        dead = self.other_queue("pipe")
        self.hub.send(dead, ["a"])
        self.hub.hold_lock(dead, self.hub.execution_arn("nobody-knows-it"))
        return self.hub.run()

    def a_defect(self) -> Run:
        self.plan(_DEFECT, at="Redrive Messages")
        return self.counted()

    def many_deaths(self) -> Run:
        self.plan(*[_DIED] * _TOO_OFTEN, at="Redrive Messages")
        return self.counted()

    def hidden(self) -> Run:
        dead, _ = self.pair()
        self.hub.sqs.receive_message(QueueUrl=dead.url, VisibilityTimeout=43_200)
        return self.hub.run({"mode": "counted"})

    def hidden_from_one_call(self) -> Run:
        """Somebody looks at the queue while the first call does."""
        dead, _ = self.pair()
        self.hub.bench.functions[COUNTING] = self.hub.looked_at(dead, self.hub.bench.functions[COUNTING])
        return self.hub.run({"mode": "counted"})

    def nothing(self) -> Run:
        self._pairs += 1
        self.hub.pair(f"-{self._pairs}")
        return self.hub.run()

    def dry(self) -> Run:
        return self.hub.run({"dryRun": True})

    def refused(self) -> Run:
        return self.hub.run({"queueArn": "x"})

    def not_planned(self) -> Run:
        self.plan(refusal("Lambda.ResourceNotFoundException"), at="Plan Redrive")
        return self.hub.run()

    def returned(self) -> Run:
        _, work = self.pair()
        self.hub.settled_by(self.hub.consumer(work, takes=lambda _: False))
        return self.hub.run()

    def unforeseen(self) -> Run:
        """An error of a state that has lost its catcher."""
        self.pair()
        definition = json.loads(DEFINITION.read_text())
        del definition["States"][MAP]["ItemProcessor"]["States"]["Look Again"]["Catch"]
        self.hub.bench.update(definition)
        self.plan(refusal("Sqs.UnforeseenException"), at="Look Again")
        try:
            return self.hub.run()
        finally:
            self.hub.bench.update(DEFINITION)

    def unknown_owner(self) -> Run:
        return self._held_by_nobody(timedelta(hours=2))

    def owner_not_known_yet(self) -> Run:
        return self._held_by_nobody(timedelta(0))

    def lock_free_again(self) -> Run:
        dead, _ = self.pair()
        self.hub.hold_lock(dead, self.hub.execution_arn("nobody-knows-it"))

        def free(call: Callable[[], Any]) -> Any:
            self.hub.free_lock(dead)
            return call()

        self.plan(free, at="Read The Lock")
        return self.hub.run()

    def _held_by_nobody(self, since: timedelta) -> Run:
        dead, _ = self.pair()
        self.hub.hold_lock(dead, self.hub.execution_arn("nobody-knows-it"), since)
        return self.hub.run()

    def _answering(self, *changes: Mapping[str, Any]) -> Run:
        """The calls of the counting function answer what they do, with these changes."""
        handler, left = self.hub.bench.functions[COUNTING], list(changes)

        def answer(event: Any, context: Any) -> Any:
            return {**handler(event, context), **(left.pop(0) if left else {})}

        self.hub.bench.functions[COUNTING] = answer
        return self.counted()
