"""Records on their way through a delivery stream, the buffers that they wait in, and what failed of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.firehose.destinations import Hints

PROCESSING_FAILED = "processing-failed"
CONVERSION_FAILED = "format-conversion-failed"
PARTITIONS_EXCEEDED = "activePartitionExceeded"
"""Values of !{firehose:error-output-type}; the last is the one that «Buffer data for dynamic partitioning»
names."""


@dataclass(frozen=True)
class Record:
    """A record as it was put, with its id and its arrival in epoch seconds."""

    record_id: str
    arrival: float
    data: bytes


@dataclass(frozen=True)
class Failure:
    """Why a record goes to the error prefix: `kind` is the error output type, `attempts` counts calls."""

    kind: str
    code: str
    message: str
    attempts: int = 1
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Transformed:
    """A record with what is to be stored of it, and its partition keys; `original` is as it was put."""

    original: Record
    data: bytes
    partition_keys: Mapping[str, str] | None = None


@dataclass
class Buffer:
    """Records that wait for one invocation, or for one object."""

    hints: Hints
    entries: list[Any] = field(default_factory=list)
    size: int = 0
    first_arrival: float = 0.0
    opened: float = 0.0
    not_before: float = 0.0

    def add(self, entry: Any, size: int, arrival: float, now: float) -> None:
        if not self.entries:
            self.opened, self.first_arrival = now, arrival
        self.first_arrival = min(self.first_arrival, arrival)
        self.entries.append(entry)
        self.size += size

    def is_due(self, now: float) -> bool:
        """Whether the size or the interval is reached, and no failed delivery makes it wait."""
        full = self.size >= self.hints.size or now >= self.opened + self.hints.interval
        return bool(self.entries) and full and now >= self.not_before


def error_line(record: Record, failure: Failure, ended: float) -> bytes:
    """The line of the error object for a record. Times are epoch milliseconds.

    AWS documentation: «Handle failure in data transformation», «Handling errors for data format conversion»
    (whose error members begin with capitals).
    """
    capital = failure.kind == CONVERSION_FAILED
    line = {
        "attemptsMade": failure.attempts,
        "arrivalTimestamp": int(record.arrival * 1000),
        "ErrorCode" if capital else "errorCode": failure.code,
        "ErrorMessage" if capital else "errorMessage": failure.message,
        "attemptEndingTimestamp": int(ended * 1000),
        "rawData": base64.b64encode(record.data).decode(),
        **failure.more,
    }
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
