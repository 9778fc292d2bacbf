"""Moments that tests choose: what is held until they say, dies where they say, and the time it is then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from threading import Event, Lock
from typing import Any

_LONGEST_HOLD_SECONDS = 30.0


class Gate:
    """A place in a program. Whoever comes to it while it is closed sets `reached` and waits for `opened`."""

    def __init__(self) -> None:
        self.reached = Event()
        self.opened = Event()
        self._first = Lock()

    def hold(self) -> None:
        """Wait until the gate is opened; TimeoutError when nobody opens it."""
        self.reached.set()
        if not self.opened.wait(_LONGEST_HOLD_SECONDS):
            raise TimeoutError("a gate was not opened")

    def hold_first(self) -> None:
        """Let everybody pass but the first, who waits."""
        if self._first.acquire(blocking=False):
            self.hold()


class Crash(BaseException):
    """The death of a process: no handler of exceptions in it gets to run."""


def crashing_once(method: Callable[..., Any], when: str) -> Callable[..., Any]:
    """The method with a first call that ends in a crash, before or after it has done its work."""
    crashed = Event()

    def call(*args: Any, **kwargs: Any) -> Any:
        if crashed.is_set():
            return method(*args, **kwargs)
        crashed.set()
        if when == "after":
            method(*args, **kwargs)
        raise Crash

    return call


class MovedClock:
    """Stands in for `datetime` where a module asks it for the time: real time, and what a test adds."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def advance(self, step: timedelta) -> None:
        """Move forward by `step`."""
        self._ahead += step

    def now(self, zone: tzinfo) -> datetime:
        """The time in `zone`."""
        return datetime.now(zone) + self._ahead
