"""Instants as FHIR writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from common.instants import format_instant, parse_instant


@pytest.mark.parametrize(
    "text", ["2026-03-01T12:00:00.123Z", "2026-03-01T13:00:00.123+01:00", "2026-03-01T12:00:00.123000000Z"]
)
def test_any_offset_and_precision_is_read_in_utc(text: str) -> None:
    assert parse_instant(text) == datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)


def test_an_instant_without_an_offset_is_none() -> None:
    with pytest.raises(ValueError, match="offset"):
        parse_instant("2026-03-01T12:00:00")


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="years"):
        parse_instant(text)


def test_instants_are_written_in_utc_to_the_millisecond() -> None:
    assert format_instant(datetime(2026, 3, 1, 12, tzinfo=UTC)) == "2026-03-01T12:00:00.000Z"
