"""Ids of published events: what a run leaves behind so that the next one recognises what its overlap repeats.

A run that publishes nothing leaves those of the versions that it wrote to the lake.

They are event ids of 16 bytes, sorted, one after the other, and are searched as they are: a million of
them take 16 MB, where a set of them would take 100.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from heapq import merge

from common.instants import parse_instant
from healthlake_export.change_events import EVENT_ID_BYTES

_BLOCK_IDS = 65_536
_ROUNDING = timedelta(seconds=1)
_CUT = timedelta(milliseconds=1)


def run_ids_key(run_id: str) -> str:
    """Key of the object with all ids that a run left."""
    return f"runs/{run_id}/published-ids.bin"


def range_ids_key(run_id: str, index: int) -> str:
    """Key of the object with the ids that one byte range of a run left."""
    return f"runs/{run_id}/published-ids/{index:06d}.bin"


class PublishedIds:
    """Sorted ids in `data`, asked with `in`."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = data
        self._positions = range(len(data) // EVENT_ID_BYTES)

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, identity: bytes) -> bool:
        if not self._data:
            return False
        position = bisect_left(self._positions, identity, key=self._at)
        return position < len(self) and self._at(position) == identity

    def _at(self, position: int) -> bytes:
        begin = position * EVENT_ID_BYTES
        return self._data[begin : begin + EVENT_ID_BYTES]


class IdCollector:
    """Collects ids in any order and gives them back sorted, in little more memory than they take."""

    def __init__(self) -> None:
        self._sorted: list[bytes] = []
        self._open: list[bytes] = []
        self._left_out: set[bytes] = set()

    def add(self, identity: bytes) -> None:
        self._open.append(identity)
        if len(self._open) == _BLOCK_IDS:
            self._close_block()

    def leave_out(self, identity: bytes) -> None:
        """Do not give this id back, whether it was added or not."""
        self._left_out.add(identity)

    def sorted_ids(self) -> bytes:
        """Everything collected and not left out, sorted, each id once."""
        self._close_block()
        merged = merge_ids(split_ids(block) for block in self._sorted)
        return b"".join(identity for identity in merged if identity not in self._left_out)

    def _close_block(self) -> None:
        if self._open:
            self._open.sort()
            self._sorted.append(b"".join(self._open))
            self._open = []


def split_ids(data: bytes) -> Iterator[bytes]:
    """The ids in `data`, one by one."""
    for begin in range(0, len(data), EVENT_ID_BYTES):
        yield data[begin : begin + EVENT_ID_BYTES]


def merge_ids(sources: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The ids of all sorted `sources`, sorted, each once, holding one id of each source."""
    last = b""
    for identity in merge(*sources):
        if identity != last:
            yield identity
            last = identity


class OverlapWindow:
    """The last minutes before a run's export was requested: what changed in them, the next run sees
    again, because its `_since` is the request less the overlap."""

    def __init__(self, requested_at: str, overlap_seconds: int) -> None:
        # A second more than the overlap, so that `_since` may be rounded down.
        self._from = parse_instant(requested_at) - timedelta(seconds=overlap_seconds) - _ROUNDING

    def holds(self, last_updated: str | None) -> bool:
        """Whether a resource of this lastUpdated can come again. Exports bring resources without one
        every time, and an instant that cannot be read could be any."""
        try:
            return last_updated is None or datetime.fromisoformat(last_updated) >= self._from
        except (TypeError, ValueError):  # it has no offset, or is no instant
            return True

    def begins_after(self, latest: datetime | None) -> bool:
        """Whether it is certain that `holds` says no of resources of which the latest is this instant, cut to
        the millisecond; None is one that is not known."""
        return latest is not None and latest <= self._from - _CUT
