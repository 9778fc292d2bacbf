"""Instants as FHIR writes them: ISO 8601 with an offset, compared and written in UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_instant(text: str) -> datetime:
    """The instant in `text`, in UTC; raises ValueError when it is none, has no offset, or lies in UTC in no
    year from 1 to 9999.

    Follows FHIR R4 «instant», which requires an offset; digits past the microsecond are cut off.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant needs an offset from UTC, such as Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("an instant has to lie within the years 1 to 9999 in UTC") from None


def format_instant(instant: datetime) -> str:
    """`instant` in UTC to the millisecond, as HealthLake writes `meta.lastUpdated`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
