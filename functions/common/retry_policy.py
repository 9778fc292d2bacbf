"""How often to try again what AWS refused for now, where the SDK's own retries do not see it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """How often a call is made, and how long to wait in between: exponential backoff in seconds with
    full jitter (AWS Architecture Blog, «Exponential Backoff And Jitter»). `chance` gives numbers
    from 0 to 1."""

    tries: int = 8
    first_wait: float = 0.2
    longest_wait: float = 10.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def wait(self, failures: int) -> None:
        """Wait after so many failures, counted from 1."""
        ceiling = min(self.longest_wait, self.first_wait * 2.0 ** (failures - 1))
        self.sleep(self.chance() * ceiling)
