"""Takes records through a delivery stream: transformation, partitions, conversion, objects.

AWS documentation: «Transform source data in Amazon Data Firehose», «Buffer data for dynamic partitioning»,
«Configure Amazon S3 object name format», «Data delivery failure handling».
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from local.firehose import metrics
from local.firehose.destinations import Destination
from local.firehose.objects import NoPrefix, Objects
from local.firehose.partitions import PARTITION_LIMIT, partition_prefix
from local.firehose.records import (
    PARTITIONS_EXCEEDED,
    PROCESSING_FAILED,
    Buffer,
    Failure,
    Record,
    Transformed,
    error_line,
)
from local.firehose.services import Services, Undelivered
from local.firehose.transformation import after, event_of, outcomes

logger = logging.getLogger("local.firehose")

RETRY_SECONDS = 5.0

NO_PARTITION = Failure(
    PROCESSING_FAILED,
    "DynamicPartitioning.PartitionKeysNotFound",
    "The partition keys that the prefix names could not be evaluated for the record.",
)
TOO_MANY = Failure(
    PARTITIONS_EXCEEDED,
    "DynamicPartitioning.ActivePartitionsLimitExceeded",
    "The stream has reached the limit of active partitions.",
)

Key = tuple[str, str]
"""What an object is for: («data», evaluated prefix) or («error», error output type)."""


@dataclass
class Delivery:
    """The records of one destination that are not delivered yet. `put` is for any thread; `work` excludes
    itself."""

    destination: Callable[[], Destination]
    services: Services
    now: Callable[[], float]
    is_wanted: Callable[[], bool] = lambda: True
    incoming: Buffer | None = None
    waiting: dict[Key, Buffer] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _working: threading.RLock = field(default_factory=threading.RLock)

    def put(self, records: Iterable[Record]) -> None:
        """Take records in."""
        destination = self.destination()
        now = self.now()
        with self._lock:
            for record in records:
                self._take_in(destination, record, now)

    def undelivered(self) -> int:
        """How many records wait."""
        with self._lock:
            taken = self.incoming.entries if self.incoming is not None else []
            return len(taken) + sum(len(buffer.entries) for buffer in self.waiting.values())

    def work(self, everything: bool = False) -> int:
        """Transform and deliver what is due, or everything; returns how many objects were delivered.

        Where a service refuses, the records stay and their partition stays active.
        """
        with self._working:
            destination = self.destination()
            while (batch := self._next_batch(destination, everything)) is not None:
                self._transform(destination, batch)
            delivered = 0
            # a record that does not convert comes back as one for the error prefix
            tried: list[Buffer] = []
            while (due := self._next_object(everything, tried)) is not None:
                tried.append(due[1])
                delivered += self._deliver(destination, *due)
            return delivered

    def _take_in(self, destination: Destination, record: Record, now: float) -> None:
        if destination.transformation is None:
            self._partition(destination, Transformed(record, record.data), now)
            return
        if self.incoming is None:
            self.incoming = Buffer(destination.transformation.hints)
        self.incoming.add(record, len(record.data), record.arrival, now)

    def _next_batch(self, destination: Destination, everything: bool) -> Sequence[Record] | None:
        """Records for one invocation: as many as the size allows, and one at least."""
        now = self.now()
        with self._lock:
            buffer = self.incoming
            if buffer is None or not buffer.entries or not (everything or buffer.is_due(now)):
                return None
            batch: list[Record] = []
            size = 0
            while len(batch) < len(buffer.entries):
                record = buffer.entries[len(batch)]
                size += len(record.data)
                if batch and size > buffer.hints.size:
                    break
                batch.append(record)
            rest = buffer.entries[len(batch) :]
            self.incoming = None
            for record in rest:
                self._take_in(destination, record, buffer.opened)
            return batch

    def _transform(self, destination: Destination, records: Sequence[Record]) -> None:
        transformation = destination.transformation
        assert transformation is not None
        answer, attempts = self._invoke(destination, records)
        failed, kept = 0, 0
        found = (
            [(record, answer) for record in records]
            if isinstance(answer, Failure)
            else outcomes(answer, records)
        )
        with self._lock:
            for record, outcome in found:
                if isinstance(outcome, Failure):
                    failed += 1
                    self._fail(destination, record, after(outcome, attempts, transformation.function_arn))
                elif isinstance(outcome, Transformed):
                    kept += len(outcome.data)
                    self._partition(destination, outcome, self.now())
        metrics.put(
            destination,
            SucceedProcessing__Records=len(records) - failed,
            SucceedProcessing__Bytes=kept,
        )

    def _invoke(self, destination: Destination, records: Sequence[Record]) -> tuple[object, int]:
        """The function's answer or the last failure, and after how many invocations."""
        assert destination.transformation is not None
        payload = event_of(destination, records)
        answer: object = None
        attempts = 0
        for attempts in range(1, destination.transformation.retries + 2):
            began = self.now()
            answer = self.services.invoke(destination, payload)
            failed = isinstance(answer, Failure)
            metrics.put(
                destination,
                ExecuteProcessing__Success=not failed,
                ExecuteProcessing__Duration=(self.now() - began) * 1000,
            )
            if not isinstance(answer, Failure):
                return answer, attempts
        assert isinstance(answer, Failure)
        self.services.log(destination, answer.code, answer.message)
        return answer, attempts

    def _partition(self, destination: Destination, record: Transformed, now: float) -> None:
        prefix = ""
        if destination.partitioned:
            found = partition_prefix(destination, record)
            if found is None:
                self._fail(destination, record.original, NO_PARTITION)
                return
            prefix = found
        key = ("data", prefix)
        active = sum(kind == "data" for kind, _ in self.waiting)
        if destination.partitioned and key not in self.waiting and active >= PARTITION_LIMIT:
            metrics.put(destination, PartitionCountExceeded=1)
            self._fail(destination, record.original, TOO_MANY)
            return
        self._hold(destination, key, record, len(record.data), record.original.arrival, now)

    def _fail(self, destination: Destination, record: Record, failure: Failure) -> None:
        now = self.now()
        line = Transformed(record, error_line(record, failure, now))
        self._hold(destination, ("error", failure.kind), line, len(line.data), record.arrival, now)

    def _hold(
        self, destination: Destination, key: Key, entry: Transformed, size: int, arrival: float, now: float
    ) -> None:
        self.waiting.setdefault(key, Buffer(destination.hints)).add(entry, size, arrival, now)

    def _next_object(self, everything: bool, tried: Sequence[Buffer]) -> tuple[Key, Buffer] | None:
        now = self.now()
        with self._lock:
            for key, buffer in self.waiting.items():
                if any(buffer is one for one in tried):
                    continue
                if everything or buffer.is_due(now):
                    # further records begin another object; a failed one is put back
                    return key, self.waiting.pop(key)
        return None

    def _deliver(self, destination: Destination, key: Key, buffer: Buffer) -> int:
        """Deliver one buffer; returns how many objects."""
        objects = Objects(destination, self.services, self.now)
        try:
            stored = objects.store(*key, buffer)
        except (Undelivered, NoPrefix) as error:
            self.services.log(destination, str(error), "The records could not be delivered.")
            logger.warning("%s: not delivered yet: %s", destination.stream_name, error)
            self._put_back(key, buffer)
            self._count(destination, buffer, success=False)
            return 0
        except BaseException:
            # a fault of this code: what it concerns is not lost by it
            self._put_back(key, buffer)
            raise
        with self._lock:
            for record, failure in stored.failed:
                self._fail(destination, record.original, failure)
        self._count(destination, buffer, success=True, size=stored.size)
        return stored.objects

    def _put_back(self, key: Key, buffer: Buffer) -> None:
        with self._lock:
            newer = self.waiting.pop(key, None)
            buffer.not_before = self.now() + RETRY_SECONDS
            self.waiting[key] = buffer
            for entry in newer.entries if newer is not None else []:
                buffer.add(entry, len(entry.data), entry.original.arrival, self.now())

    def _count(self, destination: Destination, buffer: Buffer, success: bool, size: int = 0) -> None:
        metrics.put(
            destination,
            DeliveryToS3__Success=success,
            DeliveryToS3__DataFreshness=max(0.0, self.now() - buffer.first_arrival),
        )
        if success:
            metrics.put(destination, DeliveryToS3__Records=len(buffer.entries), DeliveryToS3__Bytes=size)
        if destination.partitioned:
            with self._lock:
                active = sum(kind == "data" for kind, _ in self.waiting)
            metrics.put(destination, PartitionCount=active)
