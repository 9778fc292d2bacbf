"""How fast time passes for an execution: real time by default, a fraction of it in tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


def _nobody(_seconds: float) -> None:
    """Who is told of waits that nobody shares."""


@dataclass(frozen=True)
class Pace:
    """Factors between the seconds a definition asks for and the seconds that are really waited.

    `delays` shortens Wait states, retry intervals and the delay of queued messages; `timeouts` shortens
    TimeoutSeconds and HeartbeatSeconds. They are separate because a handler takes its real time however
    short the waits are: `Pace(delays=0.001, timeouts=0.05)` lets a 60 second backoff pass in 60 ms and
    still gives a task with a 60 second timeout 3 seconds. What was asked for is recorded either way.

    `jitter` draws the delay of a retrier with JitterStrategy FULL from (0, interval). `waited` is told of
    each Wait state that has passed, by the seconds that its definition asks for: services have a time of
    their own, in which those seconds have to pass as well.
    """

    delays: float = 1.0
    timeouts: float = 1.0
    jitter: Callable[[float, float], float] = random.uniform
    waited: Callable[[float], None] = _nobody

    def __post_init__(self) -> None:
        if self.delays < 0 or self.timeouts <= 0:
            raise ValueError("a pace has delays of at least 0 and timeouts above 0")


REAL_TIME = Pace()
