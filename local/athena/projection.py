"""Whether a partition is one that a table's properties project.

Follows the Athena user guide, «Supported types for partition projection»: enum, integer, date, injected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from local.athena.errors import QueryFailed

_UNITS = {
    "SECOND": 1,
    "MINUTE": 60,
    "HOUR": 3600,
    "DAY": 86400,
    "WEEK": 604800,
    "MONTH": 30 * 86400,
    "YEAR": 365 * 86400,
}
# Java's letters of a date, as far as days and times of them go.
_JAVA = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_RELATIVE = re.compile(r"NOW\s*(?:([+-])\s*(\d+)\s*(SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|YEAR)S?)?")


def in_projection(parameters: Mapping[str, str], name: str, value: str, now: datetime) -> bool:
    """Whether the partition key can have the value. Raises QueryFailed where the properties are wrong."""
    kind = parameters.get(f"projection.{name}.type", "").strip().lower()
    match kind:
        case "injected":
            return True
        case "enum":
            return value in _property(parameters, name, "values").split(",")
        case "integer":
            first, last = _property(parameters, name, "range").split(",")
            return value.lstrip("-").isdecimal() and int(first) <= int(value) <= int(last)
        case "date":
            return _date_in_range(parameters, name, value, now)
        case _:
            raise QueryFailed(
                f"INVALID_TABLE_PROPERTY: Table has no valid projection.{name}.type for its partition column"
            )


def _date_in_range(parameters: Mapping[str, str], name: str, value: str, now: datetime) -> bool:
    letters = _property(parameters, name, "format")
    pattern = re.sub("|".join(_JAVA), lambda found: _JAVA[found[0]], letters).replace("'", "")
    begin, end = (
        _bound(text.strip(), pattern, now) for text in _property(parameters, name, "range").split(",")
    )
    try:
        day = datetime.strptime(value, pattern).replace(tzinfo=UTC)
    except ValueError:
        return False
    # Bounds are cut to the format: «NOW» is today where the format has days.
    return begin <= day <= end


def _bound(text: str, pattern: str, now: datetime) -> datetime:
    relative = _RELATIVE.fullmatch(text)
    if relative is None:
        return datetime.strptime(text, pattern).replace(tzinfo=UTC)
    seconds = int(relative[2]) * _UNITS[relative[3]] if relative[2] else 0
    moment = now + timedelta(seconds=-seconds if relative[1] == "-" else seconds)
    return datetime.strptime(moment.strftime(pattern), pattern).replace(tzinfo=UTC)


def _property(parameters: Mapping[str, str], name: str, what: str) -> str:
    value = parameters.get(f"projection.{name}.{what}")
    if value is None:
        raise QueryFailed(f"INVALID_TABLE_PROPERTY: Table property projection.{name}.{what} is missing")
    return value
