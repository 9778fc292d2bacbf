"""Mends distributed maps.

In moto a failed child changes nothing, tolerated failures are ignored, children share no history and cannot
be found, and a stopped execution waits for them. Here every child is an execution of its own, listed by its
map run; a map run with more failures than tolerated stops its other children and fails.
AWS documentation: "Using Map state in Distributed mode", "Setting failure thresholds for Distributed Map
states", "Viewing Map Runs".
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from typing import Any

from moto.stepfunctions.parser.api import MapRunStatus
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import (
    distributed_iteration_component,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (  # noqa: E501
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import (  # noqa: E501
    MapRunRecord,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import JobPool
from moto.stepfunctions.parser.asl.eval.states import ItemData, MapData

from local.stepfunctions.mending.data_limits import assert_within_limit
from local.stepfunctions.mending.failures import map_run_failure
from local.stepfunctions.mending.interruption import woken_by_interruption
from local.stepfunctions.patching import original, replace
from local.stepfunctions.run_context import run_of

CHILDREN_AT_ONCE = 64
"""Children run together when the definition sets no MaxConcurrency (10,000 on AWS)."""

_ERROR = "States.ExceedToleratedFailureThreshold"
_CAUSE = "The specified tolerated failure threshold was exceeded"


class MapRun:
    """The children of one distributed map while they run."""

    def __init__(self, env: Any, record: Any, program: Any, inputs: Sequence[Any]) -> None:
        self._env = env
        self._record = record
        self._program = program
        self._inputs = inputs
        self._lock = threading.Lock()
        self._next = 0
        self._failed = 0
        self._over = False
        self._running: set[Any] = set()
        self.children: list[Any] = [None] * len(inputs)
        self._to_run = list(range(len(inputs)))

    def again(self, env: Any) -> MapRun:
        """The map run of a redriven execution: what did not succeed in this one is run."""
        run = MapRun(env, self._record, self._program, self._inputs)
        run.children = list(self.children)
        run._to_run = [index for index, child in enumerate(self.children) if not _succeeded(child)]
        for index in run._to_run:
            child = self.children[index]
            if child is not None:
                self._count(_COUNTERS[child.status], -1)
                self._count("pending", 1)
        return run

    def run(self) -> None:
        """Run all children and wait for them; stop when too many failed or the execution was stopped."""
        if not any(self.children):
            self._count("total", len(self._inputs))
            self._count("pending", len(self._inputs))
        at_once = min(self._record.max_concurrency or CHILDREN_AT_ONCE, len(self._to_run))
        with woken_by_interruption(self._env, self.abort, when="left"):
            threads = [
                run_of(self._env).threads.start("states-map-child", self._work) for _ in range(at_once)
            ]
            for thread in threads:
                thread.join()

    @property
    def exceeded(self) -> bool:
        """Whether more children failed than the map tolerates."""
        count, percentage = self._record.tolerated_failure_count, self._record.tolerated_failure_percentage
        if not count and not percentage:
            return self._failed > 0
        by_count = bool(count) and self._failed > count
        by_percentage = bool(percentage) and self._failed * 100 > percentage * len(self._inputs)
        return by_count or by_percentage

    def abort(self) -> None:
        """Start no more children and stop those that run."""
        with self._lock:
            self._over = True
            running = list(self._running)
        for child in running:
            child.abort()

    def _work(self) -> None:
        while (child := self._start_next()) is not None:
            child.finish()
            self._settle(child)

    def _start_next(self) -> Any:
        with self._lock:
            if self._over or self._next == len(self._to_run):
                return None
            index, self._next = self._to_run[self._next], self._next + 1
            child = self.children[index]
            if child is not None:
                child.prepare_redrive(datetime.datetime.now(tz=datetime.UTC))
                child.resume()
            else:
                child = run_of(self._env).start_child(self._record, self._program, self._inputs[index])
            self.children[index] = child
            self._running.add(child)
        self._count("pending", -1)
        self._count("running", 1)
        return child

    def _settle(self, child: Any) -> None:
        self._count("running", -1)
        self._count(_COUNTERS[child.status], 1)
        if child.status == "SUCCEEDED":
            self._count("results_written", 1)
        with self._lock:
            self._running.discard(child)
            self._failed += child.status != "SUCCEEDED"
            exceeded = self.exceeded and not self._over
        if exceeded:
            self.abort()

    def _count(self, counter: str, by: int) -> None:
        for counters in (self._record.item_counter, self._record.execution_counter):
            getattr(counters, counter).offset(by)


_COUNTERS = {"SUCCEEDED": "succeeded", "FAILED": "failed", "TIMED_OUT": "timed_out", "ABORTED": "aborted"}


def _map_run(self: Any, env: Any, eval_input: Any) -> None:
    items = env.stack.pop()
    record = eval_input.map_run_record
    selector = self._create_worker(env=env, eval_input=eval_input, job_pool=JobPool(None, []))
    inputs = [_child_input(env, selector, index, item) for index, item in enumerate(items)]
    map_run = MapRun(env, record, self._get_iteration_program(), inputs)
    record.state_name = eval_input.state_name
    finish(env, record, map_run)


def _succeeded(child: Any) -> bool:
    return child is not None and child.status == "SUCCEEDED"


def state_of(record: Any) -> str | None:
    """The state whose map run it is, once children could start."""
    return getattr(record, "state_name", None)


def stopped(record: Any) -> threading.Event:
    """Set while the map run does not run."""
    event = vars(record).setdefault("stopped", threading.Event())
    assert isinstance(event, threading.Event)
    return event


def finish(env: Any, record: Any, map_run: MapRun) -> None:
    """Run the children to their end and leave their outputs on the stack; else a failure of the state."""
    record.map_run = map_run
    map_run.run()
    if not env.is_running():
        record.stopped_with_execution = True
        raise map_run_failure(env, "States.TaskFailed", "The map run was stopped with its execution")
    if map_run.exceeded:
        raise map_run_failure(env, _ERROR, _CAUSE)
    env.stack.append([child.output for child in map_run.children if child.status == "SUCCEEDED"])


def _child_input(env: Any, selector: Any, index: int, item: Any) -> Any:
    frame = env.open_inner_frame()
    try:
        frame.states.context_object.context_object_data["Map"] = MapData(
            Item=ItemData(Index=index, Value=item)
        )
        frame.states.reset(item)
        frame.stack.append(frame.states.get_input())
        selector._eval_input(env_frame=frame)
        child_input = frame.states.get_input()
        assert_within_limit(env, str(env.next_state_name), child_input)
        return child_input
    finally:
        env.delete_frame(frame)


def _set_stop(self: Any, status: MapRunStatus) -> None:
    with_execution = vars(self).pop("stopped_with_execution", False)
    original(MapRunRecord, "set_stop")(self, MapRunStatus.ABORTED if with_execution else status)
    stopped(self).set()


def install() -> None:
    """Put the mended behaviour in place."""
    replace(MapRunRecord, "set_stop", _set_stop)
    original(DistributedIterationComponent, "_eval_body")
    original(distributed_iteration_component, "EventManager")
    replace(DistributedIterationComponent, "_map_run", _map_run)
