"""FHIR's instants as Arrow's timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from common.instants import parse_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(instants: Sequence[str | None]) -> pa.Array:
    """Instants (FHIR R4 «instant») as timestamps in UTC, cut to the millisecond; null where there is none or
    it cannot be read."""
    kind = pa.timestamp("ms", "UTC")
    try:
        read = pa.array(instants, pa.string()).cast(kind)
        # Arrow takes instants that Python does not, for which a reader that makes Python's out of a file's
        # would fail. The years that fit nanoseconds, 1677 to 2262, have none of them.
        read.cast(pa.timestamp("ns", "UTC"))
    except pa.ArrowInvalid:
        # One of other years, one with more digits, or one that is none: they are read one by one then.
        return pa.array([_milliseconds(text) for text in instants], pa.int64()).cast(kind)
    return read


def latest(instants: pa.Array) -> datetime | None:
    """The last of what `milliseconds` has made; None where one is null, or there is none."""
    if instants.null_count or not len(instants):
        return None
    _, values = instants.buffers()
    begin, end = instants.offset, instants.offset + len(instants)
    return _EPOCH + max(memoryview(values).cast("q")[begin:end]) * _MILLISECOND


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return (parse_instant(text) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None
