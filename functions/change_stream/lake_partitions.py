"""Which partition of the lake a row belongs to, and whether it is a row at all.

Follows Amazon Data Firehose Developer Guide, «Required parameters for data transformation» and «Create
partitioning keys with an AWS Lambda function», and Amazon Athena User Guide, «Supported types for partition
projection»: Athena finds no row below a value that its projection does not have.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Literal

import msgspec

_is_event_time = re.compile(r"\d{4}-\d\d-\d\d (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}", re.ASCII).fullmatch
_HEX = "0123456789abcdef"
_IMAGES = {"INSERT": (True, False), "MODIFY": (True, True), "REMOVE": (False, True)}
"""Which images a change has: the item after it, and before."""


class RowRefusal(StrEnum):
    """Why something is not a row of the lake."""

    MALFORMED = "RECORD_WAS_MALFORMED"
    NOT_A_ROW = "ROW_NOT_READABLE"
    EVENT_ID = "EVENT_ID_NOT_READABLE"
    ITEM_TYPE = "ITEM_TYPE_NOT_DECLARED"
    STREAM_LABEL = "STREAM_LABEL_MISSING"
    SEQUENCE_NUMBER = "SEQUENCE_NUMBER_NOT_READABLE"
    TIME = "TIME_NOT_READABLE"
    IMAGES = "IMAGES_DO_NOT_FIT_THE_CHANGE"
    ITEM = "ITEM_IS_NOT_JSON"
    REFERENCE = "REFERENCE_NOT_OF_THIS_HUB"
    REFERENCED_ROW = "REFERENCED_ROW_IS_GONE_OR_DIFFERENT"
    TOO_LARGE = "ROW_TOO_LARGE_FOR_FIREHOSE"


class RefusedRow(ValueError):
    """What came is no row; `reason` is a word of this code, never a value of the row."""

    def __init__(self, reason: RowRefusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class RowReference(msgspec.Struct, frozen=True):
    """Where a row lies that is too large to travel; `length` in bytes."""

    bucket: str
    key: str
    length: int


class LakeRow(msgspec.Struct, frozen=True, gc=False):
    """A row as it is stored: images are texts, so that no number in them is read."""

    event_id: str
    change: Literal["INSERT", "MODIFY", "REMOVE"]
    item_type: str
    item_id: str
    sk: str
    stream_label: str
    sequence_number: str
    event_time: str
    item: str | None
    old_item: str | None


class _Other(msgspec.Struct, frozen=True):
    """What travels instead of a row."""

    reference: RowReference | None = None
    malformed: str | None = None


_read_row = msgspec.json.Decoder(LakeRow).decode
_read_other = msgspec.json.Decoder(_Other).decode
_read_json = msgspec.json.Decoder(msgspec.Raw).decode

Metadata = Mapping[str, Mapping[str, str]]
"""What Firehose is told of a row: its partition keys."""

Found = LakeRow | RowReference | RefusedRow
"""What a record carries: a row, where one lies, or why it is none."""


@dataclass(frozen=True)
class Partitions:
    """The partitions that Athena looks into: those of the types that are `declared`, from `first_day` to now.

    Both ends of the range are hours as the table writes them.
    """

    declared: Container[str]
    first: str
    last: str

    @classmethod
    def until(cls, now: datetime, first_day: str, declared: Container[str]) -> Partitions:
        """The partitions that there are now; `first_day` as yyyy-MM-dd."""
        return cls(declared, f"{first_day}-00", hour_of(now))

    def metadata_of(self, row: LakeRow, arrival_milliseconds: int) -> Metadata:
        """The row's partition: the hour of its change, or outside of the range the hour of its arrival."""
        hour = _hour_in(row.event_time)
        if self.first <= hour <= self.last:
            return _metadata(row.item_type, hour)
        return _metadata(row.item_type, hour_of(datetime.fromtimestamp(arrival_milliseconds / 1000, UTC)))


@lru_cache(maxsize=4096)
def _metadata(item_type: str, hour: str) -> Metadata:
    """Shared by the rows of a partition: a batch has few, and thousands of rows."""
    return {"partitionKeys": {"item_type": item_type, "dt": hour}}


def hour_of(instant: datetime) -> str:
    """The partition of an instant in UTC."""
    return instant.strftime("%Y-%m-%d-%H")


def find(text: bytes, declared: Container[str]) -> Found:
    """What a record carries."""
    try:
        row = _read_row(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _reference_in(text)
    reason = _refusal_of(row, declared)
    return row if reason is None else RefusedRow(reason)


def row_in(text: bytes, declared: Container[str]) -> LakeRow | RowReference:
    """The row that a record carries, or where it lies. Raises `RefusedRow`."""
    found = find(text, declared)
    if isinstance(found, RefusedRow):
        raise found
    return found


def _refusal_of(row: LakeRow, declared: Container[str]) -> RowRefusal | None:
    """Why no query would find the row, or what it says that cannot be."""
    if len(row.event_id) != 32 or row.event_id.strip(_HEX):
        return RowRefusal.EVENT_ID
    if row.item_type not in declared:
        return RowRefusal.ITEM_TYPE
    if not row.stream_label:
        return RowRefusal.STREAM_LABEL
    number = row.sequence_number
    if not (number.isdecimal() and number.isascii() and len(number) <= 40):
        return RowRefusal.SEQUENCE_NUMBER
    if not _hour_in(row.event_time):
        return RowRefusal.TIME
    item, old_item = row.item, row.old_item
    if _IMAGES[row.change] != (item is not None, old_item is not None):
        return RowRefusal.IMAGES
    try:
        # read to its end and not kept: the text is what is stored
        if item is not None and not (_read_json(item) and item.startswith("{")):
            return RowRefusal.ITEM
        if old_item is not None and not (_read_json(old_item) and old_item.startswith("{")):
            return RowRefusal.ITEM
    except (msgspec.DecodeError, RecursionError):
        return RowRefusal.ITEM
    return None


def _reference_in(text: bytes) -> RowReference | RefusedRow:
    try:
        other = _read_other(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return RefusedRow(RowRefusal.NOT_A_ROW)
    if other.malformed is not None:
        return RefusedRow(RowRefusal.MALFORMED)
    return RefusedRow(RowRefusal.NOT_A_ROW) if other.reference is None else other.reference


@lru_cache(maxsize=4096)
def _hour_in(event_time: str) -> str:
    """The hour of a time as the table writes hours; empty for what is no time."""
    if not _is_event_time(event_time):
        return ""
    try:
        date.fromisoformat(event_time[:10])
    except ValueError:
        return ""
    return f"{event_time[:10]}-{event_time[11:13]}"
