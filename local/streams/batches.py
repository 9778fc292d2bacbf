"""What becomes of a batch that a reader fails on: tried again, divided, discarded.

AWS documentation: AWS Lambda Developer Guide, «Retaining discarded batch records for a DynamoDB event source
in Lambda» and «Configuring partial batch response with DynamoDB and Lambda»; Amazon EventBridge User Guide,
«Amazon EventBridge Pipes error handling and troubleshooting» and «Amazon EventBridge Pipes batching and
concurrency».
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from local.streams.records import StreamRecord

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.1
"""Pauses between attempts grow from the first to the longest; on AWS they are longer."""

Records = Sequence[StreamRecord]


class Condition(StrEnum):
    """Why records are discarded, as records of failures say."""

    RETRIES = "RetryAttemptsExhausted"
    AGE = "RecordAgeExceeded"


@dataclass(frozen=True)
class Limits:
    """How long a reader tries; None is for ever. `bisect` halves a batch that fails."""

    most_retries: int | None = None
    oldest_seconds: float | None = None
    bisect: bool = False


@dataclass(frozen=True)
class Attempt:
    """What is left of a batch after an attempt, in order; `counted` unless nothing was tried in earnest,
    `reported` where a call that succeeded named what it failed on."""

    left: Records = ()
    counted: bool = True
    reported: bool = False


class BatchReader(Protocol):
    """What a batch is given to."""

    def limits(self) -> Limits | None:
        """The limits as they are now; None when nothing more is to be done with the batch."""

    def attempt(self, records: Records) -> Attempt:
        """Try to process the records."""

    def discard(self, records: Records, condition: Condition, attempts: int) -> None:
        """Give the records up, after so many attempts."""

    def checkpoint(self, position: int) -> None:
        """Keep that everything before the position is done."""


@dataclass(frozen=True)
class _Piece:
    records: Records
    attempts: int = 0
    failures: int = 0


@dataclass(frozen=True)
class Batches:
    """Works batches off; `pause` waits for so many seconds, less when the reader is gone."""

    reader: BatchReader
    pause: Callable[[float], None]
    clock: Callable[[], float] = time.time

    def work_off(self, records: Records) -> bool:
        """Process every record or discard it; False when the reader has stopped before."""
        work = deque([_Piece(records)])
        while work:
            self.reader.checkpoint(work[0].records[0].position)
            limits = self.reader.limits()
            if limits is None:
                return False
            piece = self._without_old(work.popleft(), limits)
            if not piece.records:
                continue
            result = self.reader.attempt(piece.records)
            if result.left:
                work.extendleft(reversed(self._next(piece, result, limits)))
        return True

    def _without_old(self, piece: _Piece, limits: Limits) -> _Piece:
        """The piece without records that are too old, which are discarded."""
        if limits.oldest_seconds is None:
            return piece
        horizon = self.clock() - limits.oldest_seconds
        old = [record for record in piece.records if record.created < horizon]
        if old:
            self.reader.discard(old, Condition.AGE, piece.attempts)
        kept = [record for record in piece.records if record.created >= horizon]
        return _Piece(kept, piece.attempts, piece.failures)

    def _next(self, piece: _Piece, result: Attempt, limits: Limits) -> list[_Piece]:
        """What is tried next of a piece that failed. To divide it costs no retry.

        A piece is divided at the record that was reported. Where that is its first there is nothing before
        it, and AWS tells of no other division: only a call that fails is halved."""
        left = result.left
        if not result.counted:
            return [self._later(_Piece(left, piece.attempts, piece.failures))]
        if limits.bisect and len(left) < len(piece.records):
            return [_Piece(left, piece.attempts)]
        if limits.bisect and len(left) > 1 and not result.reported:
            middle = len(left) // 2
            return [_Piece(left[:middle], piece.attempts), _Piece(left[middle:], piece.attempts)]
        attempts = piece.attempts + 1
        if limits.most_retries is not None and attempts > limits.most_retries:
            self.reader.discard(left, Condition.RETRIES, attempts)
            return []
        return [self._later(_Piece(left, attempts, piece.failures))]

    def _later(self, piece: _Piece) -> _Piece:
        self.pause(min(FIRST_PAUSE_SECONDS * 2**piece.failures, LONGEST_PAUSE_SECONDS))
        return _Piece(piece.records, piece.attempts, min(piece.failures + 1, 10))
