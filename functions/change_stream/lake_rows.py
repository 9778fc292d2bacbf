"""Records of a stream as rows of the lake, in which items are texts, so that no way there alters a number."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec

from change_stream.change_objects import Reference
from change_stream.errors import Malformed, MalformedRecord
from change_stream.stream_record import Change, read_change

MAX_ROW_BYTES = 900_000
"""Firehose takes records of 1,000 KiB."""

MAX_ANSWER_BYTES = 3_500_000
"""What the rows of a batch come to that travel themselves: Firehose takes 4 MiB a call, Lambda 6 MB."""


_FLAT_BYTES = 400
"""What a row has beside its items and its key, generously."""
_LONGEST_ESCAPE = 12


class Objects(Protocol):
    """Where what does not travel itself is put before the row is answered."""

    def put_row(self, event_id: str, row: bytes) -> Reference: ...

    def quarantine(self, record: Any, reason: Malformed) -> Reference: ...


@dataclass
class Rows:
    """Rows in the order of their records, and how many of them went by reference, or are none, by reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    by_reference: int = 0
    malformed: Counter[str] = field(default_factory=Counter)


def to_row(change: Change) -> dict[str, Any]:
    """The row of a change; raises `MalformedRecord`."""
    new, old = change.new, change.old
    return {
        "event_id": change.event_id,
        "change": change.name,
        "item_type": change.item_type,
        "item_id": change.id,
        "sk": change.sk,
        "sequence_number": change.sequence_number,
        "event_time": change.time[:-1].replace("T", " "),
        "item": None if new is None else new.decode(),
        "old_item": None if old is None else old.decode(),
    }


@dataclass
class LakeRows:
    """Makes rows of the records of one batch: one each, since what is no record is to lie where Firehose
    puts what it could not process, with its reason."""

    declared: Container[str]
    objects: Objects
    arrived: datetime

    def prepare(self, records: Sequence[Any]) -> Rows:
        """The rows of a batch. The same records give the same ids and the same object keys."""
        prepared = Rows()
        left = MAX_ANSWER_BYTES
        for record in records:
            row = self._row(record)
            length = _written_length(row)
            if length > min(MAX_ROW_BYTES, left):
                row = self._referred(row)
                length = _written_length(row)
                prepared.by_reference += 1
            left -= length
            prepared.rows.append(row)
            if "malformed" in row:
                prepared.malformed[row["malformed"]] += 1
        return prepared

    def _row(self, record: Any) -> dict[str, Any]:
        try:
            return to_row(read_change(record, self.arrived, self.declared))
        except MalformedRecord as error:
            reason = error.reason
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            # DynamoDB writes no record that raises these; whoever else does must not stop the stream.
            reason = Malformed.RECORD
        return {"malformed": reason.value, "record": record}

    def _referred(self, row: dict[str, Any]) -> dict[str, Any]:
        """What goes in place of a row that is too large. What is malformed is kept where nothing expires."""
        if "malformed" in row:
            reference = self.objects.quarantine(row["record"], Malformed(row["malformed"]))
            return {"malformed": row["malformed"], "reference": reference.to_json()}
        reference = self.objects.put_row(row["event_id"], msgspec.json.encode(row))
        return {"reference": reference.to_json()}


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
