"""What the mended engine knows about the execution that a piece of a state machine belongs to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails

from local.stepfunctions.pace import REAL_TIME, Pace
from local.stepfunctions.work_threads import WorkThreads


@dataclass(frozen=True)
class Delay:
    """A wait or a retry interval of an execution, as its definition asked for it.

    `seconds` is what was asked for after jitter, `ceiling` the interval before it; `reason` is `wait` or
    `retry`.
    """

    state: str
    reason: str
    seconds: float
    ceiling: float


@dataclass(frozen=True)
class Checkpoint:
    """A state of the top level as it was entered, with its input before InputPath.

    From here a redriven execution goes on. Variables (Assign) are no part of it: moto reads them with
    JSONata only, which wants a JVM.
    """

    state: str
    input: Any


def _nobody(_token: str, _task: Any) -> None:
    """Who is told about tokens outside an engine."""


class RunContext:
    """One execution (or map child) while it runs: its pace, its delays, how to start its map children, and
    the threads that work for it."""

    def __init__(
        self,
        *,
        pace: Pace = REAL_TIME,
        announce_token: Callable[[str, Any], None] | None = None,
        start_child: Callable[..., Any] | None = None,
        threads: WorkThreads | None = None,
    ) -> None:
        self.pace = pace
        self.threads = threads or WorkThreads()
        self.announce_token = announce_token or _nobody
        self.start_child: Callable[..., Any] = start_child or _no_children
        self.checkpoint: Checkpoint | None = None
        self._resumed_state: str | None = None
        self._lock = threading.Lock()
        self._delays: list[Delay] = []
        self._skipped = 0.0

    @property
    def delays(self) -> tuple[Delay, ...]:
        """Waits and retry intervals so far, in the order in which they began."""
        with self._lock:
            return tuple(self._delays)

    @property
    def skipped_seconds(self) -> float:
        """Seconds that the pace cut from waits: histories are dated as if they had been waited."""
        with self._lock:
            return self._skipped

    def resume(self) -> None:
        """The execution goes on at its checkpoint."""
        with self._lock:
            self._resumed_state = self.checkpoint.state if self.checkpoint else None

    def take_resumption(self, state: str) -> bool:
        """Whether a redriven execution goes on with this state; true once for each redrive."""
        with self._lock:
            resumed, self._resumed_state = self._resumed_state, None
            return resumed == state

    def note_delay(self, delay: Delay) -> None:
        """Record a delay that begins now."""
        with self._lock:
            self._delays.append(delay)

    def note_skipped(self, seconds: float) -> None:
        """Record that a delay passed this many seconds sooner than asked."""
        with self._lock:
            self._skipped += max(seconds, 0.0)


def _no_children(*_: Any) -> Any:
    raise RuntimeError("a distributed map runs only in an execution of the local engine")


class RunDetails(AWSExecutionDetails):  # type: ignore[misc]
    """moto's execution details, which every frame of an execution shares, with the run's context."""

    def __init__(self, account: str, region: str, role_arn: str, run: RunContext) -> None:
        super().__init__(account=account, region=region, role_arn=role_arn)
        self.run = run


_OUTSIDE = RunContext()


def run_of(env: Any) -> RunContext:
    """The context of the execution that an evaluation environment belongs to."""
    run = getattr(env.aws_execution_details, "run", _OUTSIDE)
    assert isinstance(run, RunContext)
    return run
