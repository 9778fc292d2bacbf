"""Threads that can be waited for: what is begun in one place must not reach into what comes after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

LONGEST_WORK_SECONDS = 60.0
"""How long work may go on after nobody wants it any more: a function's own retries fit into it."""


class WorkThreads:
    """Threads that one owner has started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, target: Callable[..., Any], *args: Any) -> threading.Thread:
        """Run the target in a thread of its own, which does not keep the process from ending."""
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        with self._lock:
            self._threads = [earlier for earlier in self._threads if earlier.is_alive()]
            self._threads.append(thread)
            thread.start()
        return thread

    def join(self, seconds: float = LONGEST_WORK_SECONDS) -> None:
        """Wait until all have ended, those that they start meanwhile included. The caller's own thread is not
        waited for. Raises TimeoutError with the names of those that go on."""
        ends_at = time.monotonic() + seconds
        while running := self._running():
            if time.monotonic() >= ends_at:
                names = ", ".join(sorted({thread.name for thread in running}))
                raise TimeoutError(f"after {seconds} s there still run: {names}")
            running[0].join(max(ends_at - time.monotonic(), 0.0))

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            threads = list(self._threads)
        return [
            thread for thread in threads if thread.is_alive() and thread is not threading.current_thread()
        ]
