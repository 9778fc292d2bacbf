"""The hold on a message while it is worked on: kept up by heartbeats, given up after the longest job.

What counts is this machine's monotonic clock alone: the hold ends a visibility timeout after the last
heartbeat was *sent*, which is never later than SQS sees it, whatever the clocks of both say.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hub_worker.aws import CALL_FAILED, error_code
from hub_worker.errors import JobTooLong, ReceiptLost
from hub_worker.jobs_queue import JobsQueue, Received
from hub_worker.logs import Log

BEATS = 3
"""Heartbeats in one visibility timeout: two may fail."""


class Lease:
    """The hold on one message, from `received_at` of the clock, when it was asked for."""

    def __init__(
        self,
        queue: JobsQueue,
        received: Received,
        received_at: float,
        max_job: float,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._received = received
        self._log = log
        self._clock = clock
        self._held_until = received_at + queue.visibility
        self._ends = received_at + max_job
        self._lost = threading.Event()
        self._stop = threading.Event()

    def check(self) -> None:
        """Raise ReceiptLost or JobTooLong when what is done now must not count any more."""
        now = self._clock()
        if now >= self._ends:
            raise JobTooLong
        if self._lost.is_set() or now >= self._held_until:
            raise ReceiptLost

    def beat(self) -> None:
        """One heartbeat. One that does not arrive is as good as none; the next one tries again."""
        asked = self._clock()
        try:
            kept = self._queue.keep_hidden(self._received)
        except CALL_FAILED as error:
            self._log.warning("A heartbeat was not taken.", code=error_code(error))
            return
        if kept:
            self._held_until = asked + self._queue.visibility
        else:
            self._lost.set()

    def _keep(self) -> None:
        while not self._stop.wait(self._queue.visibility / BEATS):
            if self._lost.is_set() or self._clock() >= self._ends:
                return
            self.beat()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Heartbeats from a thread of its own, for as long as the block lasts."""
        thread = threading.Thread(target=self._keep, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
