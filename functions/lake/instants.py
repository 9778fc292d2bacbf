"""FHIR's instants as Arrow's timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pyarrow as pa

from common.instants import parse_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_AFTER_THE_FIRST_DAY, _BEFORE_THE_LAST_DAY = "0001-01-02", "9999-12-30"


def milliseconds(instants: Sequence[str | None]) -> pa.Array:
    """Instants (FHIR R4 «instant») as timestamps in UTC, cut to the millisecond; null where there is none or
    it cannot be read."""
    kind = pa.timestamp("ms", "UTC")
    if _are_in_common_years(instants):
        try:
            return pa.array(instants, pa.string()).cast(kind)
        except pa.ArrowInvalid:
            pass
    # One with more digits, or one that is none: they are read one by one then.
    return pa.array([_milliseconds(text) for text in instants], pa.int64()).cast(kind)


def _are_in_common_years(instants: Sequence[str | None]) -> bool:
    """Whether no text can be of an instant that Arrow takes and Python does not: a reader that makes Python's
    out of a file's would fail for all of its rows."""
    texts = cast(Sequence[str], instants) if None not in instants else [text for text in instants if text]
    return not texts or (min(texts) > _AFTER_THE_FIRST_DAY and max(texts) < _BEFORE_THE_LAST_DAY)


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return (parse_instant(text) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None
