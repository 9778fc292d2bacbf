"""Wall-clock time as HealthLake stamps it: whole milliseconds since the epoch, always UTC."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time used for meta.lastUpdated and for job times."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told to; safe for threads."""

    def __init__(self, start: datetime) -> None:
        self._now_ms = to_ms(start)
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        with self._lock:
            return self._now_ms

    def advance(self, step: timedelta) -> None:
        """Move forward by `step`."""
        with self._lock:
            self._now_ms += step // timedelta(milliseconds=1)

    def set(self, moment: datetime) -> None:
        """Jump to `moment`, in either direction."""
        with self._lock:
            self._now_ms = to_ms(moment)


def to_ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch; a moment without a zone is an error."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def from_ms(value: int) -> datetime:
    """The UTC datetime of a number of milliseconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)


def iso_ms(value: int) -> str:
    """FHIR instant with milliseconds, such as 2026-11-20T18:40:00.123Z."""
    return f"{from_ms(value):%Y-%m-%dT%H:%M:%S}.{value % 1000:03d}Z"


def http_date(value: int) -> str:
    """The form of Last-Modified and Date headers."""
    moment = from_ms(value)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    return f"{day}, {moment.day:02d} {_MONTHS[moment.month - 1]} {moment:%Y %H:%M:%S} GMT"


def export_status_time(value: int) -> str:
    """The form the FHIR export status uses for submitTime and endTime: Aug 26, 2023 1:46:56 PM."""
    moment = from_ms(value)
    half = "AM" if moment.hour < 12 else "PM"
    return (
        f"{_MONTHS[moment.month - 1]} {moment.day}, {moment.year} "
        f"{moment.hour % 12 or 12}:{moment:%M:%S} {half}"
    )


# Spelled out because strftime follows the process's locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
