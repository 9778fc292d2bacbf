"""Log lines as JSON on standard output: ids, counts, codes and reasons, never a body, a key or content."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

Value = str | int | float | bool | None


def where(error: BaseException) -> str:
    """The line of code that an error comes from, without a value of it: `loop.py:97`, empty where it has
    none."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""


@dataclass(frozen=True)
class Log:
    """Writes one line per call, whole, from whichever thread; `worker` is in each."""

    service: str
    worker: str
    out: TextIO = field(default_factory=lambda: sys.stdout)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def info(self, message: str, **values: Value) -> None:
        """What happens on an ordinary day."""
        self._write("INFO", message, values)

    def warning(self, message: str, **values: Value) -> None:
        """What will be tried again."""
        self._write("WARNING", message, values)

    def error(self, message: str, **values: Value) -> None:
        """What somebody has to look at."""
        self._write("ERROR", message, values)

    def document(self, document: object) -> None:
        """A line that is not a message, such as one with metrics."""
        line = json.dumps(document, separators=(",", ":"))
        with self.lock:
            self.out.write(f"{line}\n")
            self.out.flush()

    def _write(self, level: str, message: str, values: dict[str, Value]) -> None:
        time = self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        own = {
            "level": level,
            "time": time,
            "service": self.service,
            "worker": self.worker,
            "message": message,
        }
        self.document(own | values)
