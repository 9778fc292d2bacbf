"""Where the log of a call ends: the worker says so, so that an answer waits for exactly its own lines.

ministack waits 5 ms after a function's last line, and 50 ms for a line of a function that writes none.
"""

from __future__ import annotations

import queue
import time
from typing import Any

END = "\x1eend of the call's log"
"""Written after a call by the worker, a line of its own unless the function has left one unended."""

LONGEST_SECONDS = 0.25
"""How long is waited for the end at most: a process that was ended writes none."""


def worker_with_log_ends(base: type[Any]) -> type[Any]:
    """The worker class, which takes the lines of a Python function up to the end that is marked."""

    class LogEndingWorker(base):  # type: ignore[misc]
        def _drain_stderr_bounded(self, *bounds: float, **named: float) -> str:
            if not str(self.config.get("Runtime", "")).startswith("python"):
                return str(super()._drain_stderr_bounded(*bounds, **named))
            return "\n".join(lines_of_call(self._stderr_queue))

        def _drain_stderr(self) -> str:
            lines = str(super()._drain_stderr()).split("\n")
            return "\n".join(line.removesuffix(END) for line in lines if line != END)

    return LogEndingWorker


def lines_of_call(lines: queue.Queue[str]) -> list[str]:
    """The lines up to the end of the call, or what has come when the end does not."""
    found: list[str] = []
    deadline = time.monotonic() + LONGEST_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if not line.endswith(END):
            found.append(line)
            continue
        unended = line.removesuffix(END)
        return [*found, unended] if unended else found
    return found
