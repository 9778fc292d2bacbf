"""Task tokens of the callback pattern: one per attempt, answered once, watched by a heartbeat.

AWS documentation: "Wait for a Callback with Task Token", API reference "SendTaskSuccess", "SendTaskFailure",
"SendTaskHeartbeat".
"""

from __future__ import annotations

import threading
import time
from typing import Any

from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint, HeartbeatTimedOut

from local.stepfunctions.errors import StepFunctionsError


class TaskToken(CallbackEndpoint):  # type: ignore[misc]
    """One attempt of a task that waits for an answer; closed once it is answered or given up."""

    def __init__(self, callback_id: str) -> None:
        super().__init__(callback_id=callback_id)
        self._outcome: Any = None
        self._changed = threading.Condition()
        self._beat_at = time.monotonic()
        self._closed = False

    def answer(self, outcome: Any) -> bool:
        """Take the task's outcome; False when the task takes none any more."""
        with self._changed:
            if self._closed or self._outcome is not None:
                return False
            self._outcome = outcome
            self._changed.notify_all()
            return True

    def beat(self) -> bool:
        """Start the heartbeat's time again; False when the task is over."""
        with self._changed:
            if self._closed or self._outcome is not None:
                return False
            self._beat_at = time.monotonic()
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """The task is over: whoever answers now is told so, whoever waits goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def notify(self, outcome: Any) -> None:
        """moto's name for `answer`."""
        self.answer(outcome)

    def interrupt_all(self) -> None:
        """moto's name for `close`."""
        self.close()

    def await_outcome(self, heartbeat_seconds: float | None) -> Any:
        """The task's outcome, a missed heartbeat, or None when the task was given up meanwhile."""
        with self._changed:
            while self._outcome is None and not self._closed:
                left = None
                if heartbeat_seconds is not None:
                    left = self._beat_at + heartbeat_seconds - time.monotonic()
                    if left <= 0:
                        self._closed = True
                        return HeartbeatTimedOut()
                self._changed.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
            return self._outcome


class TokenBook:
    """Every task token an engine has given out, so that an answer finds its task."""

    def __init__(self) -> None:
        self._tokens: dict[str, TaskToken] = {}
        self._state_machines: dict[str, str] = {}

    def announce(self, token: str, task: TaskToken, state_machine_arn: str = "") -> None:
        """Remember a token that was given out, and by which state machine."""
        self._tokens[token] = task
        self._state_machines[token] = state_machine_arn

    def state_machine_of(self, token: str) -> str | None:
        """The ARN of the state machine that gave the token out: what a callback's permission is asked for."""
        return self._state_machines.get(token)

    def answer(self, token: str, outcome: Any) -> None:
        """Hand an outcome to its task. Raises InvalidToken or TaskTimedOut as SendTaskSuccess does."""
        if not self._task(token).answer(outcome):
            raise _task_is_over()

    def beat(self, token: str) -> None:
        """Record a heartbeat. Raises InvalidToken or TaskTimedOut as SendTaskHeartbeat does."""
        if not self._task(token).beat():
            raise _task_is_over()

    def clear(self) -> None:
        """Forget every token."""
        self._tokens.clear()
        self._state_machines.clear()

    def _task(self, token: str) -> TaskToken:
        task = self._tokens.get(token)
        if task is None:
            raise StepFunctionsError("InvalidToken", "Invalid Token: 'Invalid token'")
        return task


def _task_is_over() -> StepFunctionsError:
    return StepFunctionsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
