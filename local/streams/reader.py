"""Threads that read streams, one for each reader, so that a slow one holds nobody up."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.streams.arrivals import Arrivals
from local.streams.batches import Batches, BatchReader, Limits, Records
from local.streams.faults import FAULTS
from local.streams.filters import Filters
from local.streams.records import Stream, StreamRecord

logger = logging.getLogger("local.streams")

LOOK_SECONDS = 0.5
"""How long a reader sleeps at most until it looks whether it still exists."""

MOST_BYTES = 6 * 1024 * 1024 - 64 * 1024
"""The records of a batch are at most as large as what Lambda takes, with room for what is around them."""


@dataclass(frozen=True)
class ReaderSettings:
    """How a reader reads."""

    batch_size: int
    window_seconds: float = 0.0
    filters: Filters = field(default_factory=Filters)
    limits: Limits = field(default_factory=Limits)
    running: bool = True


class Consumer(BatchReader, Protocol):
    """A reader of a stream: an event source mapping or a pipe."""

    name: str
    stream: Stream

    def settings(self) -> ReaderSettings | None:
        """The settings as they are now, None once the reader is deleted."""

    def position(self) -> int:
        """Where it reads on."""

    def enter(self) -> None:
        """Let this thread work for the reader's account and region."""

    def may_read(self) -> bool:
        """Whether its role has the rights on the stream."""


class Readers:
    """The threads of the account's readers."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._lock = threading.Lock()
        self._threads: dict[int, threading.Thread] = {}

    def start(self, owner: Any, consumer: Consumer) -> None:
        """Read for what the consumer stands for (`owner`), unless a thread does so already."""
        with self._lock:
            self._threads = {key: thread for key, thread in self._threads.items() if thread.is_alive()}
            if id(owner) not in self._threads:
                loop = ReaderLoop(consumer, self._arrivals)
                # what keeps the consumer keeps the owner, so that no other has its id meanwhile
                thread = threading.Thread(target=loop.run, name=f"reader-{consumer.name}", daemon=True)
                self._threads[id(owner)] = thread
                thread.start()
        self._arrivals.announce()


class ReaderLoop:
    """Reads a stream batch by batch, in order, until its reader is deleted."""

    def __init__(self, consumer: Consumer, arrivals: Arrivals) -> None:
        self._consumer = consumer
        self._arrivals = arrivals
        self._batches = Batches(consumer, pause=self._pause)

    def run(self) -> None:
        """Read until the reader is deleted."""
        self._consumer.enter()
        while True:
            seen = self._arrivals.count()
            settings = self._consumer.settings()
            if settings is None:
                return
            try:
                worked = settings.running and self._read(settings)
            except Exception:
                logger.exception("%s could not read its stream", self._consumer.name)
                worked = False
                time.sleep(LOOK_SECONDS)
            if not worked:
                self._arrivals.wait(seen, LOOK_SECONDS)

    def _read(self, settings: ReaderSettings) -> bool:
        """Work one batch off, if there is one."""
        if not self._wait_for_batch(settings):
            return False
        if not self._consumer.may_read():
            time.sleep(LOOK_SECONDS)
            return False
        position = self._position()
        found = self._consumer.stream.read(position, settings.batch_size)
        wanted, after = _taken(found, settings)
        for _ in range(2 if wanted and FAULTS.repeats_a_batch() else 1):
            if wanted and not self._batches.work_off(wanted):
                return True
        self._consumer.checkpoint(after if found else position)
        return bool(found)

    def _wait_for_batch(self, settings: ReaderSettings) -> bool:
        """Whether there are records to read: a full batch, or what has come within the window."""
        deadline = time.monotonic() + settings.window_seconds
        while True:
            seen = self._arrivals.count()
            waiting = self._consumer.stream.bounds()[1] - self._position()
            left = deadline - time.monotonic()
            if waiting <= 0 or waiting >= settings.batch_size or left <= 0:
                return waiting > 0
            if self._consumer.settings() is None:
                return False
            self._arrivals.wait(seen, min(left, LOOK_SECONDS))

    def _position(self) -> int:
        return max(self._consumer.position(), self._consumer.stream.bounds()[0])

    def _pause(self, seconds: float) -> None:
        """Sleep, with a look now and then whether the reader still exists."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self._consumer.settings() is not None:
            time.sleep(min(left, 0.1))


def _taken(found: Records, settings: ReaderSettings) -> tuple[list[StreamRecord], int]:
    """The records that pass the filters and fit into one batch, and the position after them."""
    wanted: list[StreamRecord] = []
    size = 0
    for record in found:
        if settings.filters.passes(record.record):
            size += len(record.raw)
            if wanted and size > MOST_BYTES:
                return wanted, record.position
            wanted.append(record)
    return wanted, found[-1].position + 1 if found else 0
