"""Whether the worker is to end, since when and how soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Drain:
    """Asked for once or more, from whichever thread: the first reason is kept, and the earliest deadline."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._deadline = float("inf")
        self.reason = ""

    def ask(self, reason: str, seconds: float) -> bool:
        """Take nothing new from now on, and end within `seconds`; returns whether nobody had asked before."""
        with self._lock:
            first = not self._asked.is_set()
            self._deadline = min(self._deadline, self._clock() + seconds)
            if first:
                self.reason = reason
                self._asked.set()
            return first

    @property
    def asked(self) -> bool:
        """Whether to take nothing new."""
        return self._asked.is_set()

    @property
    def overdue(self) -> bool:
        """Whether the time for the current job is over."""
        with self._lock:
            return self._clock() >= self._deadline

    def wait(self, seconds: float) -> None:
        """Wait `seconds`, or less long when it is asked for in between."""
        if self._asked.is_set():
            time.sleep(seconds)
        else:
            self._asked.wait(seconds)
