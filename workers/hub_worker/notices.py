"""Watches for the end of the instance and lets the worker drain in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from hub_worker.drain import Drain
from hub_worker.instance_metadata import UNREACHABLE, InstanceMetadata, Notice
from hub_worker.logs import Log

SECONDS_TO_SPARE = 15.0
"""Left of a notice's time for handing the job back and ending."""


@dataclass
class NoticeWatcher:
    """Asks the metadata service every `interval` seconds. `drain_seconds` is what a job gets where no time
    is told."""

    metadata: InstanceMetadata
    drain: Drain
    drain_seconds: float
    interval: float
    log: Log
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _unreachable: bool = False

    def watch(self) -> None:
        """Look until there is an interruption, or the worker has ended."""
        while True:
            notice = self.look()
            if notice and notice.reason == "spot-interruption":
                return
            # Whoever drains already may still be told of an earlier end.
            self.drain.wait(self.interval)

    def look(self) -> Notice | None:
        """One look. A service that does not answer is told of once."""
        try:
            notice = self.metadata.notice()
        except UNREACHABLE as error:
            if not self._unreachable:
                self.log.warning("The instance metadata service does not answer.", code=type(error).__name__)
            self._unreachable = True
            return None
        self._unreachable = False
        if notice and self.drain.ask(notice.reason, self._seconds(notice)):
            self.log.info("The worker drains.", reason=notice.reason)
        return notice

    def _seconds(self, notice: Notice) -> float:
        """Seconds until the worker has to end. The clock of this machine may be wrong by any amount: a time
        that lies further away than a job gets anyway, or is past, is not taken for more or less than
        that."""
        if notice.at is None:
            return self.drain_seconds
        left = (notice.at - self.now()).total_seconds() - SECONDS_TO_SPARE
        return max(0.0, min(left, self.drain_seconds))
