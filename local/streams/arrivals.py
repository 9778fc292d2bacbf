"""Tells readers of streams at once that there may be something for them."""

from __future__ import annotations

import threading


class Arrivals:
    """Counts what has happened: a record written, a reader changed."""

    def __init__(self) -> None:
        self._happened = threading.Condition()
        self._count = 0

    def count(self) -> int:
        """How much has happened until now, for `wait`."""
        with self._happened:
            return self._count

    def announce(self) -> None:
        """Wake everybody who waits."""
        with self._happened:
            self._count += 1
            self._happened.notify_all()

    def wait(self, seen: int, seconds: float) -> None:
        """Wait until more has happened than was seen, or for so many seconds."""
        with self._happened:
            self._happened.wait_for(lambda: self._count != seen, seconds)


ARRIVALS = Arrivals()
"""Of this account: there is one in a process."""
