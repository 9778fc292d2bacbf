"""Reconciliation: proof that what was processed is all of what was exported, every line once.

Nothing here trusts a single count. Byte positions must chain from the first byte of each object to its
last, the bytes of the lines handled must fill them, and outcomes must add up to lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from healthlake_export.byte_ranges import ByteRange
from healthlake_export.errors import ReconciliationFailed
from healthlake_export.ledger import LedgerItem


@dataclass(frozen=True)
class Totals:
    """What a run came to. Records of the export's error files count as lines, and as quarantined.

    `published_ids_key` names the object with the event ids that the next run needs, if there is one.
    """

    files: int
    ranges: int
    bytes: int
    lines: int
    rows: int
    published: int
    batched: int
    repeated: int
    quarantined: int
    withheld: int
    lake_files: int
    lake_bytes: int
    published_ids_key: str | None = None

    def with_published_ids(self, key: str | None) -> Totals:
        """The same totals, with the ids under `key`."""
        return replace(self, published_ids_key=key)

    def to_state(self) -> dict[str, Any]:
        """The totals as the state machine carries them."""
        return {
            "files": self.files,
            "ranges": self.ranges,
            "bytes": self.bytes,
            "lines": self.lines,
            "rows": self.rows,
            "published": self.published,
            "batched": self.batched,
            "repeated": self.repeated,
            "quarantined": self.quarantined,
            "withheld": self.withheld,
            "lakeFiles": self.lake_files,
            "lakeBytes": self.lake_bytes,
            "publishedIdsKey": self.published_ids_key,
        }


def totals_without_ranges(plan: Mapping[str, Any]) -> Totals:
    """The totals of a run whose `plan` has no ranges: nothing was exported but, perhaps, errors."""
    return Totals(
        files=plan["files"],
        ranges=0,
        bytes=0,
        lines=plan["quarantined"],
        rows=0,
        published=0,
        batched=0,
        repeated=0,
        quarantined=plan["quarantined"],
        withheld=0,
        lake_files=0,
        lake_bytes=0,
    )


def reconcile(
    plan: Mapping[str, Any],
    ranges: Sequence[ByteRange],
    ledger: Iterable[LedgerItem],
    *,
    events: bool,
) -> Totals:
    """The totals of a run, once everything adds up; `events` says whether the run publishes.

    Raises `ReconciliationFailed` naming the range (or the object) and what does not add up.
    """
    items = {item.index: item for item in ledger}
    _require_plan(plan, ranges)
    _require_every_range(ranges, items)
    for _, of_object in groupby(sorted(ranges, key=lambda piece: (piece.key, piece.start)), _object_of):
        _require_chain(list(of_object), items)
    for item in items.values():
        require_outcomes(item, events=events)
    lines = sum(item.lines for item in items.values())
    return Totals(
        files=plan["files"],
        ranges=len(ranges),
        bytes=plan["bytes"],
        lines=lines + plan["quarantined"],
        rows=sum(item.rows for item in items.values()),
        published=sum(item.published for item in items.values()),
        batched=sum(item.batched for item in items.values()),
        repeated=sum(item.repeated for item in items.values()),
        quarantined=sum(item.quarantined for item in items.values()) + plan["quarantined"],
        withheld=sum(item.withheld for item in items.values()),
        lake_files=sum(item.lake_files for item in items.values()),
        lake_bytes=sum(item.lake_bytes for item in items.values()),
    )


def _object_of(piece: ByteRange) -> tuple[str, str, int]:
    return piece.key, piece.etag, piece.size


def _require_plan(plan: Mapping[str, Any], ranges: Sequence[ByteRange]) -> None:
    _require(
        len(ranges) == plan["ranges"],
        f"The plan says {plan['ranges']} ranges, and its item file has {len(ranges)}.",
    )
    planned = sum(piece.end - piece.start for piece in ranges)
    _require(
        planned == plan["bytes"], f"The plan says {plan['bytes']} bytes, and its ranges cover {planned}."
    )


def _require_every_range(ranges: Sequence[ByteRange], items: Mapping[int, LedgerItem]) -> None:
    planned = {piece.index: piece for piece in ranges}
    _require(len(planned) == len(ranges), "Two planned ranges have the same index.")
    unplanned = items.keys() - planned.keys()
    _require(not unplanned, f"Range {min(unplanned, default=0)} is in the ledger and was not planned.")
    for index, piece in sorted(planned.items()):
        item = items.get(index)
        if item is None:
            raise ReconciliationFailed(f"Range {index} has no ledger item.")
        _require(
            (item.key, item.etag, item.start, item.end) == (piece.key, piece.etag, piece.start, piece.end),
            f"Range {index} was processed with another object, ETag or extent than planned.",
        )


def _require_chain(pieces: Sequence[ByteRange], items: Mapping[int, LedgerItem]) -> None:
    """Ranges tile the object, and so do the lines that their ledger items account for."""
    covered = lines_end = 0
    for piece in pieces:
        _require(
            piece.start == covered < piece.end,
            f"Range {piece.index} begins at byte {piece.start}, the ranges before it end at {covered}.",
        )
        covered = piece.end
        item = items[piece.index]
        if item.first_line_at is None or item.lines_end_at is None:
            continue
        _require(
            item.first_line_at == lines_end and piece.start <= lines_end < piece.end,
            f"Range {piece.index} has its first line at byte {item.first_line_at}, "
            f"the lines before it end at {lines_end}.",
        )
        lines_end = item.lines_end_at
    size = pieces[0].size
    _require(covered == size, f"The ranges up to {pieces[-1].index} cover {covered} of {size} bytes.")
    _require(
        lines_end == size, f"The lines up to range {pieces[-1].index} cover {lines_end} of {size} bytes."
    )


def require_outcomes(item: LedgerItem, *, events: bool) -> None:
    """Raise `ReconciliationFailed` unless every byte and every line of a range has an outcome; `events` says
    whether its rows are published."""
    spanned = (item.lines_end_at or 0) - (item.first_line_at or 0)
    _require(
        spanned == item.line_bytes + item.blank_bytes,
        f"Range {item.index} has {spanned} bytes of lines, but handled {item.line_bytes} "
        f"and left out {item.blank_bytes} blank ones.",
    )
    _require(
        item.lines == item.rows + item.repeated + item.quarantined + item.withheld,
        f"Range {item.index} has {item.lines} lines, but {item.rows} rows, {item.repeated} repeated, "
        f"{item.quarantined} quarantined and {item.withheld} withheld.",
    )
    _require(
        item.lake_rows == item.rows,
        f"Range {item.index} has {item.rows} rows, but its files in the lake have {item.lake_rows}.",
    )
    expected = item.rows if events else 0
    _require(
        item.published == expected,
        f"Range {item.index} has {expected} events to publish, but {item.published} published.",
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ReconciliationFailed(otherwise)
