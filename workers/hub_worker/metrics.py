"""Metrics in the embedded metric format, under the namespace and dimension of the hub's functions.

Follows the Amazon CloudWatch User Guide, «Specification: Embedded metric format»: CloudWatch Logs takes the
metrics out of lines that arrive in a log group, so that the instance needs no right beside that to write
logs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

NAMESPACE = "HealthLakeHub"
_MOST_VALUES = 100
UNITS = {
    "JobsDone": "Count",
    "JobsFailed": "Count",
    "JobsSuperseded": "Count",
    "JobsRetried": "Count",
    "JobSeconds": "Seconds",
    "WorkerIdleSeconds": "Seconds",
}


@dataclass
class Metrics:
    """Gathers values and writes them at most once in `interval` seconds, as one line."""

    service: str
    write: Callable[[object], None]
    interval: float = 60.0
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    _counts: dict[str, float] = field(default_factory=dict)
    _seconds: list[float] = field(default_factory=list)
    _written: float | None = None

    def add(self, name: str, value: float = 1) -> None:
        """Add to a sum."""
        self._counts[name] = self._counts.get(name, 0) + value

    def job_took(self, seconds: float) -> None:
        """Note how long a job worked."""
        self._seconds.append(round(seconds, 3))
        if len(self._seconds) >= _MOST_VALUES:
            self.flush()

    def flush_when_due(self) -> None:
        """Write what was gathered, when it is time."""
        if self._written is None or self.clock() - self._written >= self.interval:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered; nothing where there is nothing."""
        self._written = self.clock()
        values: dict[str, object] = {name: round(value, 3) for name, value in self._counts.items()}
        if self._seconds:
            values["JobSeconds"] = list(self._seconds)
        self._counts.clear()
        self._seconds.clear()
        if not values:
            return
        described = [{"Name": name, "Unit": UNITS[name]} for name in values]
        directive = {"Namespace": NAMESPACE, "Dimensions": [["service"]], "Metrics": described}
        header = {"Timestamp": int(self.wall_clock() * 1_000), "CloudWatchMetrics": [directive]}
        self.write({"_aws": header, "service": self.service, **values})
