"""A batch of Firehose's records on their way through the transformation.

Follows Amazon Data Firehose Developer Guide, «Required parameters for data transformation», and AWS Lambda
Developer Guide, «Lambda quotas»: an answer has six megabytes. Rows that lie in S3 because they are large are
brought into the answer while it has room; the others go back into the stream, for a batch of their own.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from change_stream.lake_partitions import (
    LakeRow,
    Partitions,
    RefusedRow,
    RowReference,
    RowRefusal,
    find,
    row_in,
)

ANSWER_BYTES = 5_500_000
"""What the data of an answer may come to, in base64; the rest of six megabytes is for what is around it."""

RECORD_BYTES = 250
"""What is around the data of a record in an answer, at most."""

Record = Mapping[str, Any]
Answer = dict[str, Any]


def answer_size(reference: RowReference) -> int:
    """What a row takes of an answer: its text, a newline and what is around it, in base64."""
    return (reference.length + 3) // 3 * 4 + RECORD_BYTES


class LargeRows(Protocol):
    """Rows that lie in the hub's bucket, and the stream that they are named in."""

    def read(self, reference: RowReference) -> bytes:
        """The row's text; raises `RefusedRow` where it is not the one that was kept."""

    def send_back(self, records: Sequence[bytes]) -> None:
        """Put records into the stream once more; raises what AWS refuses with."""


@dataclass
class Transformed:
    """The answer, and what there was in the batch."""

    records: list[Answer] = field(default_factory=list)
    rows: int = 0
    by_reference: int = 0
    sent_back: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class RowBatch:
    """Transforms one batch."""

    partitions: Partitions
    large_rows: LargeRows

    def transform(self, records: Sequence[Record]) -> Transformed:
        """One answer for each record, in their order.

        A row ends with a newline and is Ok with its partition; what is no row is ProcessingFailed, so that
        Firehose puts it below its error prefix; one that is sent back is Dropped.
        """
        done = Transformed()
        answers = done.records
        waiting: list[tuple[int, Record, RowReference]] = []
        declared = self.partitions.declared
        for record, text in zip(records, _decoded([record["data"] for record in records]), strict=True):
            found = find(text, declared)
            if isinstance(found, LakeRow):
                answers.append(self._ok(record, found, _with_newline(record["data"], text)))
            elif isinstance(found, RefusedRow):
                answers.append(_failed(record, found, done))
            else:
                # rows that came themselves are in the answer first
                waiting.append((len(answers), record, found))
                answers.append({})
        done.rows = len(answers) - len(waiting) - done.refused.total()
        if waiting:
            taken = sum(len(answer["data"]) + RECORD_BYTES for answer in answers if answer)
            self._bring(waiting, done, ANSWER_BYTES - taken)
        return done

    def _ok(self, record: Record, row: LakeRow, data: str) -> Answer:
        return {
            "recordId": record["recordId"],
            "result": "Ok",
            "data": data,
            "metadata": self.partitions.metadata_of(row, record["approximateArrivalTimestamp"]),
        }

    def _bring(
        self, waiting: Sequence[tuple[int, Record, RowReference]], done: Transformed, left: int
    ) -> None:
        """Bring in the rows that lie in S3, as many as the answer has room for and one at least where it is
        theirs alone."""
        back: list[bytes] = []
        for place, record, reference in waiting:
            size = answer_size(reference)
            if size > ANSWER_BYTES:
                done.records[place] = _failed(record, RefusedRow(RowRefusal.TOO_LARGE), done)
            elif size > left:
                back.append(b64decode(record["data"]))
                done.records[place] = {
                    "recordId": record["recordId"],
                    "result": "Dropped",
                    "data": record["data"],
                }
            else:
                left -= size
                done.records[place] = self._referenced(record, reference, done)
        if back:
            self.large_rows.send_back(back)
            done.sent_back = len(back)

    def _referenced(self, record: Record, reference: RowReference, done: Transformed) -> Answer:
        try:
            text = self.large_rows.read(reference)
            row = row_in(text, self.partitions.declared)
            if isinstance(row, RowReference):
                raise RefusedRow(RowRefusal.REFERENCED_ROW)
        except RefusedRow as refusal:
            return _failed(record, refusal, done)
        done.rows += 1
        done.by_reference += 1
        return self._ok(record, row, b64encode(text + b"\n").decode())


def _decoded(data: Sequence[str]) -> list[bytes]:
    """The data of records; nothing, which is no row, for what is no base64. msgspec decodes it four times as
    fast as the standard library."""
    try:
        return msgspec.convert(data, list[bytes])
    except msgspec.ValidationError:
        return [_decoded_alone(one) for one in data]


def _decoded_alone(data: Any) -> bytes:
    try:
        return msgspec.convert(data, bytes)
    except msgspec.ValidationError:
        return b""


def _with_newline(data: str, text: bytes) -> str:
    """The base64 of a row and the newline that ends it, by writing nothing but the end again."""
    if text.endswith(b"\n"):
        return data
    rest = len(text) % 3
    return data[:-4] + _ending(text[-rest:]) if rest else data + "Cg=="


@lru_cache(maxsize=256)
def _ending(rest: bytes) -> str:
    """The bytes after the last three whole ones, and a newline; rows end in few ways."""
    return b64encode(rest + b"\n").decode()


def _failed(record: Record, refusal: RefusedRow, done: Transformed) -> Answer:
    done.refused[refusal.reason.value] += 1
    return {"recordId": record["recordId"], "result": "ProcessingFailed", "data": record["data"]}
