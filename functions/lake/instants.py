"""FHIR's instants as Arrow's timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(instants: Sequence[str | None]) -> pa.Array:
    """Instants (FHIR R4 «instant») as timestamps in UTC, cut to the millisecond; null where there is none or
    it cannot be read."""
    kind = pa.timestamp("ms", "UTC")
    texts = pa.array(instants, pa.string())
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        # One with more digits, or one that is none: they are read one by one then.
        return pa.array([_milliseconds(text) for text in instants], pa.int64()).cast(kind)


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if instant.tzinfo is None else (instant - _EPOCH) // _MILLISECOND
