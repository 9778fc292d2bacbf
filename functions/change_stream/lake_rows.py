"""Records of a stream as rows of the lake, in which items are texts, so that no way there alters a number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import msgspec

from change_stream.change_objects import Reference
from change_stream.errors import Malformed, MalformedRecord
from change_stream.parallel_calls import in_parallel
from change_stream.stream_record import Change, is_internal, read_change
from common.instants import parse_instant

MAX_ROW_BYTES = 900_000
"""Firehose takes records of 1,000 KiB."""

MAX_ANSWER_BYTES = 3_500_000
"""What the rows of a batch come to that travel themselves: Firehose takes 4 MiB a call, Lambda 6 MB."""

MAX_KEPT_BYTES = 4_100_000
"""What the transformation can bring in of a row that lies in S3: its answer has 6 MB, in base64."""

_FLAT_BYTES = 400
"""What a row has beside its items and its key, generously."""
_LONGEST_ESCAPE = 12
REFERENCE_BYTES = 400
"""A row that says where it lies, generously: a bucket's name, a key of hexadecimal digits, a length."""


class Objects(Protocol):
    """Where what does not travel itself is put before the row is answered, by several threads."""

    def put_row(self, event_id: str, row: bytes) -> Reference: ...

    def quarantine(self, record: Any, reason: Malformed) -> Reference: ...


@dataclass
class Rows:
    """Rows in the order of their records, how many of them went by reference, or are none, by reason, and how
    many seconds ago the first of the changes was made."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    by_reference: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    age_seconds: int = 0


def to_row(change: Change) -> dict[str, Any]:
    """The row of a change; raises `MalformedRecord`."""
    new, old = change.new, change.old
    return {
        "event_id": change.event_id,
        "change": change.name,
        "item_type": change.item_type,
        "item_id": change.id,
        "sk": change.sk,
        "stream_label": change.stream,
        "sequence_number": change.sequence_number,
        "event_time": change.time[:-1].replace("T", " "),
        "item": None if new is None else new.decode(),
        "old_item": None if old is None else old.decode(),
    }


@dataclass
class LakeRows:
    """Makes rows of the records of one batch: one each, since what is no record is to lie where Firehose
    puts what it could not process, with its reason; none for what an application keeps for itself."""

    declared: Container[str]
    objects: Objects
    arrived: datetime

    def prepare(self, records: Sequence[Any]) -> Rows:
        """The rows of a batch. The same records give the same ids and the same object keys."""
        rows = [self._row(record) for record in records if not is_internal(record)]
        prepared = Rows(age_seconds=self._age(rows))
        puts: list[Callable[[], Reference]] = []
        referring: list[dict[str, Any]] = []
        left = MAX_ANSWER_BYTES
        for row in rows:
            if "malformed" in row:
                prepared.malformed[row["malformed"]] += 1
            length = _written_length(row)
            if length <= min(MAX_ROW_BYTES, left):
                prepared.rows.append(row)
                left -= length
                continue
            puts.append(self._putting(row))
            referring.append({name: row[name] for name in row.keys() & {"malformed"}})
            prepared.rows.append(referring[-1])
            left -= REFERENCE_BYTES
        for row, reference in zip(referring, in_parallel(_put, puts), strict=True):
            row["reference"] = reference.to_json()
        prepared.by_reference = len(referring)
        return prepared

    def _age(self, rows: Sequence[dict[str, Any]]) -> int:
        times = [row["event_time"] for row in rows if "event_time" in row]
        if not times:
            return 0
        first = parse_instant(min(times).replace(" ", "T") + "Z")
        return max(0, round((self.arrived - first).total_seconds()))

    def _row(self, record: Any) -> dict[str, Any]:
        try:
            return to_row(read_change(record, self.arrived, self.declared))
        except MalformedRecord as error:
            reason = error.reason
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            # DynamoDB writes no record that raises these; whoever else does must not stop the stream.
            reason = Malformed.RECORD
        return {"malformed": reason.value, "record": record}

    def _putting(self, row: dict[str, Any]) -> Callable[[], Reference]:
        """Puts a row that is too large. What is malformed is kept where nothing expires."""
        if "malformed" in row:
            return partial(self.objects.quarantine, row["record"], Malformed(row["malformed"]))
        return lambda: self.objects.put_row(row["event_id"], _kept(row))


def _put(put: Callable[[], Reference]) -> Reference:
    return put()


def _kept(row: dict[str, Any]) -> bytes:
    """The text of a row, without the item before the change where both are more than the transformation can
    bring in: nearly only control characters, of which JSON makes seven bytes each. The row of the change
    before has that item as its `item`, and one of 400 KB is never too large alone."""
    text = msgspec.json.encode(row)
    if len(text) <= MAX_KEPT_BYTES or row["item"] is None:
        return text
    return msgspec.json.encode({**row, "old_item": None})


def _written_length(row: dict[str, Any]) -> int:
    """How long the row is at most as ASCII, the longest that any program on its way writes it. The items are
    nearly all of it, and JSON already: of what stands there, quotes and backslashes are escaped once more."""
    if "event_id" not in row:
        return len(json.dumps(row, separators=(",", ":")))
    names = len(row["item_id"]) + len(row["sk"])
    return _FLAT_BYTES + _LONGEST_ESCAPE * names + _escaped(row["item"]) + _escaped(row["old_item"])


def _escaped(text: str | None) -> int:
    if text is None:
        return len("null")
    if not text.isascii():
        return len(json.dumps(text))
    return len(text) + text.count('"') + text.count("\\") + len('""')
