"""Values and columns of a result, as Athena writes them.

Follows the Athena API reference, «GetQueryResults» and «ColumnInfo», and how Trino's client shows values: a
timestamp with milliseconds, an array as [a, b], a map and a row as {k=v}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from math import isinf, isnan
from typing import Any

_TYPES = {
    "HUGEINT": "bigint",
    "UBIGINT": "bigint",
    "INTEGER": "integer",
    "FLOAT": "float",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "BLOB": "varbinary",
    "INTEGER_LITERAL": "integer",
    '"NULL"': "unknown",
}
_PRECISION = {
    "tinyint": 3,
    "smallint": 5,
    "integer": 10,
    "bigint": 19,
    "double": 17,
    "float": 17,
    "varchar": 2147483647,
}


def column_name(name: str, index: int, sql: str) -> str:
    """The name that Trino gives a column: its own or its alias, in lower case, and `_col0` where it has none.
    `name` is DuckDB's, which makes one of the expression."""
    plain = re.fullmatch(r"[A-Za-z_]\w*", name) and name.lower() not in ("null", "true", "false")
    return name.lower() if plain or f'"{name}"' in sql else f"_col{index}"


def column_info(name: str, duckdb_type: str) -> dict[str, Any]:
    """The column as GetQueryResults tells of it."""
    kind, precision, scale = _kind(duckdb_type)
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": kind,
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": kind in ("varchar", "char"),
    }


def _kind(duckdb_type: str) -> tuple[str, int, int]:
    if duckdb_type.endswith("]"):
        return "array", 0, 0
    head = duckdb_type.split("(")[0]
    if head == "DECIMAL":
        precision, scale = duckdb_type[len("DECIMAL(") : -1].split(",")
        return "decimal", int(precision), int(scale)
    if head in ("STRUCT", "TUPLE", "MAP"):
        return ("map" if head == "MAP" else "row"), 0, 0
    kind = _TYPES.get(head, head.lower())
    return kind, _PRECISION.get(kind, 0), 0


def value_text(value: object) -> str | None:
    """The value as text, or None for NULL."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case float():
            return _double(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            text = value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
            return f"{text} UTC" if value.tzinfo else text
        case date():
            return value.isoformat()
        case bytes() | bytearray():
            return value.hex(" ")
        case _:
            return _nested(value)


def _nested(value: object) -> str:
    match value:
        case tuple():
            return _nested({f"field{index}": one for index, one in enumerate(value)})
        case list():
            return f"[{', '.join(map(_within, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{name}={_within(one)}' for name, one in value.items())}}}"
        case _:
            return str(value)


def _within(value: object) -> str:
    text = value_text(value)
    return "null" if text is None else text


def _double(value: float) -> str:
    """As Java writes a double."""
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value) if "e" not in repr(value) else f"{value:f}"
    digits, _, exponent = f"{Decimal(repr(value)).normalize():E}".partition("E")
    return f"{digits if '.' in digits else f'{digits}.0'}E{int(exponent)}"


def csv_line(values: list[str | None]) -> str:
    """A line of the result's object: every value in quotes, NULL as nothing at all."""
    return ",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in values) + "\n"
