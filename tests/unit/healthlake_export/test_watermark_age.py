"""How far the watermark lies behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from healthlake_export.datastore_state import DatastoreState
from healthlake_export.watermark_age import watermark_age

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (DatastoreState(), 0),
        (DatastoreState(watermark="2026-03-01T11:55:00.000Z"), 300),
        (DatastoreState(watermark="2026-03-01T12:00:02.000Z"), 0),
        (DatastoreState(watermark="2026-03-01T11:55:00.000Z", first_run_at="2025-01-01T00:00:00.000Z"), 300),
        (DatastoreState(first_run_at="2026-03-01T00:00:00.000Z"), 0),
        (DatastoreState(first_run_at="2026-02-28T11:00:00.000Z"), 3600),
    ],
    ids=["new", "covered", "clock ahead", "not the first", "long first export", "first export failed"],
)
def test_the_age_counts_from_the_watermark_or_from_a_first_export_that_took_too_long(
    state: DatastoreState, seconds: int
) -> None:
    assert watermark_age(state, NOW, first_export=DAY) == seconds
