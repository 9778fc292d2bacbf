"""Mends executions that go on after they were stopped or timed out.

moto marks the environment of an execution as stopped and then waits until the state that is running
notices, which a waiting task, a retry interval or a map may never do; a later error even overwrites the
stop. Here every wait of the engine can be woken, a final state stays, and the final history event is
written at once.
AWS documentation: "StopExecution", "Execution event history".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.stepfunctions.parser.api import (
    ExecutionAbortedEventDetails,
    ExecutionFailedEventDetails,
    ExecutionSucceededEventDetails,
    ExecutionTimedOutEventDetails,
    HistoryEventExecutionDataDetails,
    HistoryEventType,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import (
    ProgramEnded,
    ProgramError,
    ProgramStopped,
    ProgramTimedOut,
)
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from local.stepfunctions.patching import original, replace
from local.stepfunctions.run_context import Checkpoint, run_of

RESUMES_AT = "resumes_at"
"""Attribute of the environment of a redriven execution: the state in which it goes on."""

Waker = Callable[[], None]


def _wakers(env: Any, when: str) -> list[Waker]:
    return vars(env).setdefault(f"wakers_when_{when}", [])  # type: ignore[no-any-return]


@contextmanager
def woken_by_interruption(env: Any, waker: Waker, when: str = "interrupted") -> Iterator[None]:
    """Call the waker when the environment is stopped, timed out or failed, at once if it already was.

    With `when="left"` also when it ends in the ordinary way, as the frame of a task does that ran out of
    time.
    """
    with env._state_mutex:
        left = not env.is_running()
        if not left:
            _wakers(env, when).append(waker)
    if left:
        waker()
    try:
        yield
    finally:
        with env._state_mutex:
            if waker in _wakers(env, when):
                _wakers(env, when).remove(waker)


def wait_unless_interrupted(
    env: Any, event: threading.Event, seconds: float | None, when: str = "interrupted"
) -> bool:
    """Wait for the event, at most that long, and no longer than the environment runs.

    Returns False when the time was up.
    """
    with woken_by_interruption(env, event.set, when):
        return event.wait(None if seconds is None else min(seconds, threading.TIMEOUT_MAX))


def _interrupting(name: str) -> Callable[..., None]:
    shipped = original(Environment, name)

    def interrupt(self: Any, *args: Any, **kwargs: Any) -> None:
        with self._state_mutex:
            if not self.is_running():
                return
            shipped(self, *args, **kwargs)
            wakers = list(_wakers(self, "left"))
            if name != "set_ended":
                wakers += _wakers(self, "interrupted")
        for waker in wakers:
            waker()

    return interrupt


def _eval_program(self: Any, env: Any) -> None:
    if env.is_running() or env._program_state is None:
        env.next_state_name = getattr(env, RESUMES_AT, None) or self.start_at.start_at_name
    seconds = (
        self.timeout_seconds.timeout_seconds * run_of(env).pace.timeouts if self.timeout_seconds else None
    )
    finished = threading.Event()

    def evaluate() -> None:
        try:
            EvalComponent.eval(self, env)
        finally:
            finished.set()

    run_of(env).threads.start("states-program", evaluate)
    if not wait_unless_interrupted(env, finished, seconds):
        env.set_timed_out()
    if not env.is_frame():
        _record_the_end(env)


def _eval_program_body(self: Any, env: Any) -> None:
    try:
        while env.is_running():
            _note_checkpoint(env)
            self._get_state(env.next_state_name).eval(env)
            env.stack.clear()
            env.heap.clear()
    except FailureEventException as failure:
        env.set_error(error=failure.get_execution_failed_event_details())
    except Exception as failure:
        cause = f"{type(failure).__name__}({failure})"
        env.set_error(ExecutionFailedEventDetails(error="States.Runtime", cause=cause))


def _note_checkpoint(env: Any) -> None:
    if not env.is_frame():
        run_of(env).checkpoint = Checkpoint(env.next_state_name, env.states.get_input())


def _final_event(env: Any) -> tuple[Any, dict[str, Any]]:
    state = env.program_state()
    if isinstance(state, ProgramEnded):
        output = to_json_str(env.states.get_input(), separators=(",", ":"))
        succeeded = ExecutionSucceededEventDetails(
            output=output, outputDetails=HistoryEventExecutionDataDetails(truncated=False)
        )
        return HistoryEventType.ExecutionSucceeded, {"executionSucceededEventDetails": succeeded}
    if isinstance(state, ProgramStopped):
        aborted = _present(ExecutionAbortedEventDetails(error=state.error, cause=state.cause))
        return HistoryEventType.ExecutionAborted, {"executionAbortedEventDetails": aborted}
    if isinstance(state, ProgramTimedOut):
        timed_out = ExecutionTimedOutEventDetails()
        return HistoryEventType.ExecutionTimedOut, {"executionTimedOutEventDetails": timed_out}
    assert isinstance(state, ProgramError)
    details = state.error or {}
    failed = _present(ExecutionFailedEventDetails(error=details.get("error"), cause=details.get("cause")))
    return HistoryEventType.ExecutionFailed, {"executionFailedEventDetails": failed}


def _present(details: Any) -> Any:
    for key in [key for key, value in details.items() if value is None]:
        del details[key]
    return details


def _record_the_end(env: Any) -> None:
    event_type, details = _final_event(env)
    if event_type == HistoryEventType.ExecutionAborted:
        env.event_history_context.source_event_id = 0
    env.event_manager.add_event(
        context=env.event_history_context, event_type=event_type, event_details=EventDetails(**details)
    )
    close = getattr(env.event_manager, "close", None)
    if close is not None:
        close()


def install() -> None:
    """Put the mended behaviour in place."""
    for name in ("set_ended", "set_error", "set_timed_out", "set_stop"):
        replace(Environment, name, _interrupting(name))
    replace(Program, "eval", _eval_program)
    replace(Program, "_eval_body", _eval_program_body)
