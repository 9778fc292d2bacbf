"""Mends waits: they can be stopped, follow the pace of the run, and are recorded as asked.

moto sleeps through a stop in a retry interval, cannot be sped up, and takes a Wait's Timestamp for local
time.
AWS documentation: "Wait workflow state", "Handling errors in Step Functions workflows" (Retrier).
"""

from __future__ import annotations

import copy
import datetime
import threading
from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import JitterStrategy
from moto.stepfunctions.parser.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.common.retry.retrier_outcome import RetrierOutcome
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import EvalTimeoutError, TimeoutSeconds
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction

from local.stepfunctions.current_state import evaluate_in_this_thread
from local.stepfunctions.history import close_context
from local.stepfunctions.mending.interruption import wait_unless_interrupted
from local.stepfunctions.patching import replace
from local.stepfunctions.run_context import Delay, run_of


def pause(env: Any, reason: str, seconds: float, ceiling: float) -> None:
    """Let the run wait that many of its seconds, or until it is interrupted."""
    run = run_of(env)
    run.note_delay(Delay(env.next_state_name, reason, seconds, ceiling))
    really = max(seconds, 0.0) * run.pace.delays
    wait_unless_interrupted(env, threading.Event(), really, when="left")
    run.note_skipped(seconds - really)


def _retry(self: Any, env: Any) -> None:
    self.error_equals.eval(env)
    if not env.stack.pop():
        env.stack.append(RetrierOutcome.Skipped)
        return
    self.max_attempts.eval(env=env)
    if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
        env.stack.append(RetrierOutcome.Failed)
        return
    self.interval_seconds.eval(env=env)
    self.backoff_rate.eval(env=env)
    self.max_delay_seconds.eval(env=env)
    ceiling = env.stack.pop()
    seconds = ceiling
    if self.jitter_strategy.jitter_strategy == JitterStrategy.FULL:
        seconds = run_of(env).pace.jitter(0, ceiling)
    pause(env, "retry", seconds, ceiling)
    env.stack.append(RetrierOutcome.Executed)


def _wait_interval(_self: Any, env: Any, wait_seconds: float) -> None:
    pause(env, "wait", wait_seconds, wait_seconds)
    if env.is_running():
        run_of(env).pace.waited(wait_seconds)


def _seconds_until_timestamp(self: Any, env: Any) -> float:
    self.string.eval(env=env)
    text = env.stack.pop()
    if self._from_timestamp_string(timestamp=text) is None:
        raise FailureEventException(self._create_failure_event(env, text))
    moment = datetime.datetime.fromisoformat(text)
    return max((moment - datetime.datetime.now(tz=datetime.UTC)).total_seconds(), 0.0)


def _evaluate_with_timeout(self: Any, env: Any) -> None:
    self.timeout.eval(env=env)
    asked = env.stack.pop()
    seconds = None if asked == TimeoutSeconds.DEFAULT_TIMEOUT_SECONDS else asked * run_of(env).pace.timeouts
    frame = env.open_frame()
    frame.states.reset(input_value=env.states.get_input())
    frame.stack = copy.deepcopy(env.stack)
    outcome: dict[str, Any] = {}
    done = threading.Event()

    def evaluate() -> None:
        evaluate_in_this_thread(self.name)
        try:
            self._eval_execution(frame)
            outcome["outputs"] = list(frame.stack)
        except Exception as failure:
            outcome["failure"] = failure
        done.set()

    run_of(env).threads.start("states-task", evaluate)
    in_time = wait_unless_interrupted(env, done, seconds)
    if not outcome:
        close_context(frame.event_history_context)
    frame.set_ended()
    env.close_frame(frame)
    if not env.is_running():
        return
    if "failure" in outcome:
        raise outcome["failure"]
    if not in_time and not outcome:
        raise EvalTimeoutError
    _take_over_output(self, env, outcome["outputs"].pop())


def _take_over_output(self: Any, env: Any, output: Any) -> None:
    env.stack.append(output)
    if not self._is_language_query_jsonpath():
        env.states.set_result(output)
    if self.assign_decl:
        self.assign_decl.eval(env=env)
    if self.result_selector:
        self.result_selector.eval(env=env)
    if self.result_path:
        self.result_path.eval(env)
    else:
        env.states.reset(input_value=env.stack.pop())


def install() -> None:
    """Put the mended behaviour in place."""
    replace(RetrierDecl, "_eval_body", _retry)
    replace(WaitFunction, "_wait_interval", _wait_interval)
    replace(Timestamp, "_get_wait_seconds", _seconds_until_timestamp)
    replace(ExecutionState, "_evaluate_with_timeout", _evaluate_with_timeout)
