"""Hive's column types as Firehose writes them to Parquet, and JSON values as values of them.

AWS documentation: «Data types in Amazon Athena»; Amazon Data Firehose API Reference, «OpenXJsonSerDe» (whose
forms of a timestamp these are).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

_TIMESTAMP = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z?")
_DECIMAL = re.compile(r"decimal(?:\((\d+),(\d+)\))?")


class Mismatch(ValueError):
    """A JSON value that a column's type does not take."""


@dataclass(frozen=True)
class ColumnType:
    """A type of Parquet, and how a JSON value that is not null becomes one of its values."""

    arrow: pa.DataType
    convert: Callable[[Any], Any]

    def value(self, given: Any) -> Any:
        """The value, None for null and for what is absent; raises Mismatch."""
        return None if given is None else self.convert(given)


def column_type(hive: str) -> ColumnType:
    """The type that Hive calls `hive`. Raises KeyError for one that is not known here."""
    name = hive.strip().lower()
    if name.startswith("array<"):
        inner = column_type(name[6:-1])
        return ColumnType(pa.list_(inner.arrow), lambda given: [inner.value(one) for one in _list(given)])
    if (decimal := _DECIMAL.fullmatch(name)) is not None:
        arrow = pa.decimal128(int(decimal[1] or 10), int(decimal[2] or 0))
        return ColumnType(arrow, lambda given: _decimal(given, arrow))
    return _SIMPLE[name.split("(")[0]]


def _text(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, (int, Decimal)):
        return str(given)
    raise Mismatch


def _integer(bits: int) -> ColumnType:
    def convert(given: Any) -> int:
        number = given if isinstance(given, int) and not isinstance(given, bool) else _integer_in(given)
        if not -(1 << bits - 1) <= number < 1 << bits - 1:
            raise Mismatch
        return number

    return ColumnType({8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[bits], convert)


def _integer_in(given: Any) -> int:
    if isinstance(given, str) and re.fullmatch(r"-?\d{1,19}", given):
        return int(given)
    raise Mismatch


def _double(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, Decimal)):
        raise Mismatch
    return float(given)


def _boolean(given: Any) -> bool:
    if not isinstance(given, bool):
        raise Mismatch
    return given


def _decimal(given: Any, arrow: pa.DataType) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, (int, Decimal, str)):
        raise Mismatch
    try:
        number = Decimal(given)
        return Decimal(pa.scalar(number, type=arrow).as_py())
    except (ArithmeticError, ValueError):
        raise Mismatch from None


def _timestamp(given: Any) -> datetime:
    if isinstance(given, int) and not isinstance(given, bool):
        # seconds until the year 5138, milliseconds past it
        return datetime.fromtimestamp(given / 1000 if abs(given) >= 100_000_000_000 else given, UTC).replace(
            tzinfo=None
        )
    found = _TIMESTAMP.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise Mismatch
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    microsecond = int(f"{found[7] or '':0<6}"[:6])
    try:
        return datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001 (Hive's have no zone)
    except ValueError:
        raise Mismatch from None


def _date(given: Any) -> date:
    try:
        return date.fromisoformat(given)
    except (TypeError, ValueError):
        raise Mismatch from None


def _list(given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise Mismatch
    return given


_STRING = ColumnType(pa.string(), _text)
_SIMPLE = {
    "string": _STRING,
    "char": _STRING,
    "varchar": _STRING,
    "tinyint": _integer(8),
    "smallint": _integer(16),
    "int": _integer(32),
    "integer": _integer(32),
    "bigint": _integer(64),
    "double": ColumnType(pa.float64(), _double),
    "float": ColumnType(pa.float32(), _double),
    "boolean": ColumnType(pa.bool_(), _boolean),
    "timestamp": ColumnType(pa.timestamp("ms"), _timestamp),
    "date": ColumnType(pa.date32(), _date),
}
