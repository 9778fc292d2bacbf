"""How far the watermark lies behind, as the metric that the alarm on a stale one looks at."""

from __future__ import annotations

from datetime import datetime, timedelta

from common.instants import parse_instant
from healthlake_export.datastore_state import DatastoreState


def watermark_age(state: DatastoreState, now: datetime, first_export: timedelta) -> int:
    """Seconds since the watermark. Before there is one, those since the first run began, less the time
    `first_export` that it may take: a long first export is no reason to wake anybody."""
    if state.watermark is not None:
        age = now - parse_instant(state.watermark)
    elif state.first_run_at is not None:
        age = now - parse_instant(state.first_run_at) - first_export
    else:
        return 0
    return max(0, int(age.total_seconds()))
