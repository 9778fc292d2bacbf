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

_is_event_id = re.compile(r"[0-9a-f]{32}", re.ASCII).fullmatch
_is_sequence_number = re.compile(r"[0-9]{1,40}", re.ASCII).fullmatch
_is_event_time = re.compile(r"\d{4}-\d\d-\d\d (?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}", re.ASCII).fullmatch


class RowRefusal(StrEnum):
    """Why something is not a row of the lake."""

    MALFORMED = "RECORD_WAS_MALFORMED"
    NOT_A_ROW = "ROW_NOT_READABLE"
    EVENT_ID = "EVENT_ID_NOT_READABLE"
    ITEM_TYPE = "ITEM_TYPE_NOT_DECLARED"
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
_skim = msgspec.json.Decoder(msgspec.Raw).decode


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

    def keys_of(self, row: LakeRow, arrival_milliseconds: int) -> Mapping[str, str]:
        """The row's partition: the hour of its change, or outside of the range the hour of its arrival."""
        time = row.event_time
        hour = f"{time[:10]}-{time[11:13]}"
        if not self.first <= hour <= self.last:
            hour = hour_of(datetime.fromtimestamp(arrival_milliseconds / 1000, UTC))
        return {"item_type": row.item_type, "dt": hour}


def hour_of(instant: datetime) -> str:
    """The partition of an instant in UTC."""
    return instant.strftime("%Y-%m-%d-%H")


def row_in(data: bytes, declared: Container[str]) -> LakeRow | RowReference:
    """The row that a record carries, or where it lies. Raises `RefusedRow`."""
    try:
        row = _read_row(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _reference_in(data)
    check(row, declared)
    return row


def check(row: LakeRow, declared: Container[str]) -> None:
    """Raise `RefusedRow` for a row that no query would find, or that says what cannot be."""
    if not _is_event_id(row.event_id):
        raise RefusedRow(RowRefusal.EVENT_ID)
    if row.item_type not in declared:
        raise RefusedRow(RowRefusal.ITEM_TYPE)
    if not _is_sequence_number(row.sequence_number):
        raise RefusedRow(RowRefusal.SEQUENCE_NUMBER)
    if not (_is_event_time(row.event_time) and _is_day(row.event_time[:10])):
        raise RefusedRow(RowRefusal.TIME)
    if (row.item is None) != (row.change == "REMOVE") or (row.old_item is None) != (row.change == "INSERT"):
        raise RefusedRow(RowRefusal.IMAGES)
    for image in (row.item, row.old_item):
        if image is not None and not _is_object(image):
            raise RefusedRow(RowRefusal.ITEM)


def _reference_in(data: bytes) -> RowReference:
    try:
        other = _read_other(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedRow(RowRefusal.NOT_A_ROW) from None
    if other.malformed is not None:
        raise RefusedRow(RowRefusal.MALFORMED)
    if other.reference is None:
        raise RefusedRow(RowRefusal.NOT_A_ROW)
    return other.reference


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        _skim(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


@lru_cache(maxsize=4096)
def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
