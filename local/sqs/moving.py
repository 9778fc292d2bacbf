"""Starts, runs, lists and cancels message-move tasks on queues that somebody else keeps.

Tasks run in threads of their own. They are kept in memory, like the queues of both emulators: what ends the
process ends both.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from local.sqs import move_tasks as rules
from local.sqs.move_tasks import MoveFailed, MoveRefused, MoveRequest, MoveTask, QueueFacts
from local.stepfunctions.work_threads import WorkThreads

logger = logging.getLogger("local.sqs")

Denied = Callable[[str, str], str | None]
"""Told an action and a resource: why whoever started the task may not do it, or None."""


def nobody_denied(_action: str, _resource: str) -> None:
    """The rights of an account that enforces none."""


@dataclass(frozen=True)
class Waiting:
    """A message that could be received now: the queue that it died in, if any, and the emulator's record."""

    came_from: str | None
    record: Any


class Queues(Protocol):
    """The queues of an account."""

    def held(self) -> AbstractContextManager[Any]:
        """Nobody else changes a queue within the block."""

    def facts(self, arn: str) -> QueueFacts | None:
        """What there is to know of the queue, or None without one."""

    def waiting(self, arn: str, limit: int | None = None) -> Sequence[Waiting]:
        """Messages that could be received now, oldest first: none in flight or delayed, and of a FIFO queue
        none behind such a one of its group."""

    def put(self, arn: str, message: Waiting) -> None:
        """Send the message anew, with all that its sender gave it. Raises MoveFailed."""

    def delete(self, arn: str, messages: Sequence[Waiting]) -> None:
        """Forget the messages."""


@dataclass
class _Run:
    """A task while it runs: who asked for it, and how it is told to stop."""

    denied: Denied
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class MoveTasks:
    """The tasks of one account.

    `pace` shortens the time between two moves; `on_move` is called after messages were moved. A task moves as
    many messages as waited when it started. With `arrivals_too` it goes on until nothing waits any more,
    which AWS's documentation does not rule out either. Without `numbers_follow_late` each listing tells the
    number of messages moved as it is.
    """

    def __init__(
        self,
        queues: Queues,
        *,
        pace: float = 1.0,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        on_move: Callable[[], None] = lambda: None,
    ) -> None:
        self._queues = queues
        self._pace = pace
        self._clock = clock
        self._new_id = new_id
        self._on_move = on_move
        self._lock = threading.RLock()
        self._tasks: dict[str, MoveTask] = {}
        self._runs: dict[str, _Run] = {}
        self._threads = WorkThreads()
        self._going = threading.Event()
        self._going.set()
        self.arrivals_too = False
        self.numbers_follow_late = True

    def start(self, data: Mapping[str, Any], denied: Denied = nobody_denied) -> dict[str, Any]:
        """StartMessageMoveTask. Raises MoveRefused."""
        request = MoveRequest.of(data)
        with self._queues.held(), self._lock:
            source = self._queues.facts(request.source_arn)
            destination = self._queues.facts(request.destination_arn) if request.destination_arn else None
            if source is not None:
                _assert_allowed(denied, rules.rights_on_source(source))
            rules.assert_can_start(request, source, destination, self._tasks.values())
            if destination is not None:
                _assert_allowed(denied, rules.rights_on_destination(destination))
            task = MoveTask(
                task_id=self._new_id(),
                source_arn=request.source_arn,
                destination_arn=request.destination_arn,
                max_per_second=request.max_per_second,
                to_move=len(self._queues.waiting(request.source_arn)),
                started=int(self._clock() * 1000),
            )
            self._tasks[task.task_id] = task
            self._forget_old(task.source_arn)
            self._runs[task.task_id] = run = _Run(denied)
        # what the account knows of this request, its region and its caller, goes along
        context = contextvars.copy_context()
        self._threads.start(f"move-{task.task_id}", context.run, self._move, task.task_id, run)
        return {"TaskHandle": task.handle}

    def list(self, data: Mapping[str, Any], denied: Denied = nobody_denied) -> dict[str, Any]:
        """ListMessageMoveTasks; without a task the answer has no list, as SQS's others have none. Raises
        MoveRefused."""
        arn, number = rules.source_arn_of(data), rules.max_results_of(data)
        _assert_allowed(denied, [("sqs:GetQueueAttributes", self._existing(arn).arn)])
        with self._lock:
            found = rules.newest(list(self._tasks.values()), arn, number)
            found = [task.listed() for task in found]
            self._tasks.update((task.task_id, task) for task in found)
        told = [task.as_told() if self.numbers_follow_late else task for task in found]
        return {"Results": [task.entry() for task in told]} if told else {}

    def cancel(self, data: Mapping[str, Any], denied: Denied = nobody_denied) -> dict[str, Any]:
        """CancelMessageMoveTask: what is moved stays moved. Raises MoveRefused."""
        task_id, arn = rules.named_by_handle(data.get("TaskHandle"))
        _assert_allowed(denied, rules.rights_on_source(self._existing(arn)))
        with self._lock:
            found = self._tasks.get(task_id)
            task = rules.assert_can_cancel(found if found and found.source_arn == arn else None)
            self._tasks[task_id] = replace(task, status=rules.CANCELLING)
            run = self._runs[task_id]
        run.stop.set()
        return {"ApproximateNumberOfMessagesMoved": task.moved}

    def pause(self) -> None:
        """Let no task move anything until `resume`: what runs stays RUNNING, for tests."""
        self._going.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._going.set()

    def wait(self, source_arn: str, timeout: float = 30.0) -> dict[str, Any]:
        """Wait until no task of the queue is active; the entry of its latest one. Raises LookupError for a
        queue that has had none, and TimeoutError."""
        with self._lock:
            latest = rules.newest(list(self._tasks.values()), source_arn, 1)[0]
            run = self._runs.get(latest.task_id)
        if run is not None and not run.ended.wait(timeout):
            raise TimeoutError(f"the task still runs after {timeout} s")
        return self._tasks[latest.task_id].entry()

    def reset(self) -> None:
        """Stop every task and forget them all."""
        with self._lock:
            self._tasks.clear()
            runs, self._runs = list(self._runs.values()), {}
        for run in runs:
            run.stop.set()
        self._going.set()

    def join(self) -> None:
        """Wait until no thread moves messages any more. Raises TimeoutError."""
        self._threads.join()

    def _existing(self, arn: str) -> QueueFacts:
        found = self._queues.facts(arn)
        if found is None:
            raise rules.no_such_queue("SourceArn")
        return found

    def _forget_old(self, source_arn: str) -> None:
        kept = rules.remembered(list(self._tasks.values()), source_arn)
        for task_id, task in list(self._tasks.items()):
            if task.source_arn == source_arn and task_id not in kept and not task.active:
                del self._tasks[task_id]

    def _move(self, task_id: str, run: _Run) -> None:
        try:
            while self._step(task_id, run):
                pass
        except Exception:
            # a task that nobody works on must not keep the queue from having another
            logger.exception("a message-move task broke off")
            self._end(task_id, rules.FAILED, rules.BROKEN)
        finally:
            with self._lock:
                self._runs.pop(task_id, None)
            run.ended.set()

    def _step(self, task_id: str, run: _Run) -> bool:
        """Move as many as the rate allows at once, and wait; whether the task goes on after that."""
        self._wait_while_paused(run)
        task = self._tasks.get(task_id)
        if task is None:
            return False
        if run.stop.is_set():
            return self._end(task_id, rules.CANCELLED)
        if self._clock() - task.started / 1000 >= rules.LONGEST_SECONDS:
            return self._end(task_id, rules.FAILED, rules.TOOK_TOO_LONG)
        begun, (count, seconds) = time.monotonic(), task.step()
        left = count if self.arrivals_too else min(count, task.to_move - task.moved)
        try:
            moved = self._move_some(task, run.denied, left)
        except MoveFailed as failure:
            return self._end(task_id, rules.FAILED, failure.reason)
        if moved < left or (not self.arrivals_too and task.moved + moved >= task.to_move):
            return self._end(task_id, rules.COMPLETED)
        run.stop.wait(max(0.0, seconds * self._pace - (time.monotonic() - begun)))
        return True

    def _wait_while_paused(self, run: _Run) -> None:
        while not self._going.wait(0.01):
            if run.stop.is_set():
                return

    def _move_some(self, task: MoveTask, denied: Denied, number: int) -> int:
        """How many messages were moved. Each is sent before it is deleted, so that none is lost wherever this
        ends; those that were sent are deleted before a failure is told."""
        with self._queues.held():
            source = self._queues.facts(task.source_arn)
            if source is None:
                raise MoveFailed(rules.NO_QUEUE)
            sent: list[Waiting] = []
            checked: set[str] = set()
            try:
                for message in self._queues.waiting(task.source_arn, number):
                    destination_arn = task.destination_of(message.came_from)
                    if destination_arn not in checked:
                        self._assert_can_move(source, destination_arn, denied)
                        checked.add(destination_arn)
                    self._queues.put(destination_arn, message)
                    sent.append(message)
            finally:
                self._queues.delete(task.source_arn, sent)
                self._count(task.task_id, len(sent))
        self._on_move()
        return len(sent)

    def _assert_can_move(self, source: QueueFacts, destination_arn: str, denied: Denied) -> None:
        destination = self._queues.facts(destination_arn)
        if destination is None:
            raise MoveFailed(rules.NO_QUEUE)
        rights = [*rules.rights_on_source(source), *rules.rights_on_destination(destination)]
        if any(denied(*right) for right in rights):
            raise MoveFailed(rules.DENIED)
        if any(denied(*right) for right in rules.rights_on_keys(source, destination)):
            raise MoveFailed(rules.KEY_DENIED)

    def _count(self, task_id: str, moved: int) -> None:
        with self._lock:
            task = self._tasks.get(task_id)
            if task is not None:
                self._tasks[task_id] = replace(task, moved=task.moved + moved)

    def _end(self, task_id: str, status: str, reason: str | None = None) -> bool:
        with self._lock:
            task = self._tasks.get(task_id)
            if task is not None:
                # whoever has cancelled a task is told so, even if its last message was moved meanwhile
                ended = rules.CANCELLED if task.status == rules.CANCELLING else status
                self._tasks[task_id] = replace(task, status=ended, failure_reason=reason)
        return False


def _assert_allowed(denied: Denied, rights: Sequence[tuple[str, str]]) -> None:
    for action, resource in rights:
        told = denied(action, resource)
        if told:
            raise MoveRefused("AccessDenied", told, 403)
