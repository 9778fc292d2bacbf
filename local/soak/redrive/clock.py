"""The time of an episode: real time, and what is skipped of waits and between runs.

Time is skipped only while no function of the workflow works, since none takes minutes: what one of them hides
stays hidden until it has ended. The clock is asked by the queues, their move tasks, the functions and the
state machine.
"""

from __future__ import annotations

import datetime as real
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from moto.sqs import models

from dlq_redrive import plan_redrive, redrive_messages
from local.sqs import moto_counts
from local.stepfunctions.mending import context_object, waiting
from local.stepfunctions.workbench import Workbench

_A_WHILE = 30.0
"""Seconds after which whoever consumes has had time to."""


class Clock:
    """The time; `meanwhile` is called whenever a while has passed."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._changed = threading.Condition()
        self._working = 0
        self._ahead = 0.0
        self._meanwhile = meanwhile

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead

    def millis(self) -> float:
        """Milliseconds since 1970."""
        return self.time() * 1000

    def now(self, tz: real.tzinfo | None = None) -> real.datetime:
        """As `datetime.now` says it."""
        return real.datetime.now(tz) + real.timedelta(seconds=self._ahead)

    @contextmanager
    def working(self) -> Iterator[None]:
        """While this lasts no time is skipped."""
        with self._changed:
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def skip(self, seconds: float) -> None:
        """Let so much time pass, once nothing works."""
        with self._changed:
            self._changed.wait_for(lambda: not self._working)
            self._ahead += seconds
        if seconds >= _A_WHILE:
            self._meanwhile()

    @contextmanager
    def in_force(self, bench: Workbench) -> Iterator[None]:
        """Let everybody ask this clock."""
        pause, moves = waiting.pause, bench.moves

        def skipping(env: Any, reason: str, seconds: float, ceiling: float) -> None:
            pause(env, reason, seconds, ceiling)
            self.skip(max(seconds, 0.0))

        shown = SimpleNamespace(now=self.now)
        with ExitStack() as patches:
            for module in (models, moto_counts):
                patches.enter_context(patch.object(module, "unix_time_millis", self.millis))
                patches.enter_context(patch.object(module, "unix_time", self.time))
            for handler in (plan_redrive, redrive_messages):
                patches.enter_context(patch.object(handler, "datetime", shown))
            patches.enter_context(
                patch.object(context_object, "datetime", SimpleNamespace(datetime=shown, UTC=real.UTC))
            )
            patches.enter_context(patch.object(waiting, "pause", skipping))
            patches.enter_context(patch.object(moves, "_clock", self.time))
            yield
