from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from healthlake_export.byte_ranges import ByteRange, ExportedObject, cut_into_ranges
from healthlake_export.errors import ReconciliationFailed
from healthlake_export.ledger import LedgerItem
from healthlake_export.reconciliation import Totals, reconcile, totals_without_ranges
from local.testing import range_lab

ETAG = '"e"'


def ranges_of(*sizes: int, range_size: int = 100) -> list[ByteRange]:
    objects = [ExportedObject(f"Patient/{number}", size, ETAG) for number, size in enumerate(sizes)]
    return list(cut_into_ranges(objects, range_size))


def plan_of(pieces: Sequence[ByteRange], quarantined: int = 0) -> dict[str, Any]:
    return {
        "files": len({piece.key for piece in pieces}),
        "ranges": len(pieces),
        "bytes": sum(piece.end - piece.start for piece in pieces),
        "quarantined": quarantined,
    }


def accounted(piece: ByteRange, **changes: Any) -> LedgerItem:
    """A ledger item for a range in which lines of ten bytes tile everything."""
    return replace(range_lab.accounted(piece, (piece.end - piece.start) // 10), **changes)


def check(pieces: Sequence[ByteRange], ledger: Sequence[LedgerItem], *, events: bool = True) -> Totals:
    return reconcile(plan_of(pieces), pieces, ledger, events=events)


def test_a_run_in_which_everything_adds_up_has_totals() -> None:
    pieces = ranges_of(250, 100)
    totals = reconcile(plan_of(pieces, quarantined=2), pieces, list(map(accounted, pieces)), events=True)
    assert totals.to_state() == {
        "files": 2,
        "ranges": 4,
        "bytes": 350,
        "lines": 37,
        "rows": 35,
        "published": 35,
        "batched": 0,
        "repeated": 0,
        "quarantined": 2,
        "withheld": 0,
        "lakeFiles": 4,
        "lakeBytes": 35,
        "publishedIdsKey": None,
    }


def test_every_outcome_of_a_line_counts() -> None:
    pieces = ranges_of(100)
    (piece,) = pieces
    outcomes = {"rows": 4, "lake_rows": 4, "published": 4, "repeated": 3, "quarantined": 2, "withheld": 1}
    totals = check(pieces, [accounted(piece, **outcomes)])
    assert (totals.lines, totals.rows, totals.repeated, totals.quarantined, totals.withheld) == (
        10,
        4,
        3,
        2,
        1,
    )


def test_records_of_error_files_count_as_lines_that_were_quarantined() -> None:
    plan = {"files": 0, "ranges": 0, "bytes": 0, "quarantined": 3}
    totals = totals_without_ranges(plan)
    assert (totals.files, totals.lines, totals.quarantined, totals.published) == (0, 3, 3, 0)


def test_the_key_of_the_ids_is_part_of_the_totals() -> None:
    totals = totals_without_ranges(plan_of([])).with_published_ids("runs/run-1/published-ids.bin")
    assert totals.to_state()["publishedIdsKey"] == "runs/run-1/published-ids.bin"


def test_a_line_across_several_ranges_belongs_to_the_first() -> None:
    pieces = ranges_of(300)
    ledger = [
        accounted(pieces[0], lines_end_at=250, line_bytes=250, lines=1, rows=1, lake_rows=1, published=1),
        accounted(
            pieces[1],
            first_line_at=None,
            lines_end_at=None,
            line_bytes=0,
            lines=0,
            rows=0,
            lake_rows=0,
            published=0,
        ),
        accounted(pieces[2], first_line_at=250, line_bytes=40, blank_bytes=10, blank=1),
    ]
    assert check(pieces, ledger).lines == 11


def test_without_events_nothing_may_be_published() -> None:
    pieces = ranges_of(100)
    assert check(pieces, [accounted(pieces[0], published=0)], events=False).published == 0
    with pytest.raises(ReconciliationFailed, match="Range 0 has 0 events to publish, but 10"):
        check(pieces, [accounted(pieces[0])], events=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"etag": '"f"'}, "Range 1 was processed with another object"),
        ({"key": "Patient/9"}, "Range 1 was processed with another object"),
        ({"start": 90}, "Range 1 was processed with another object"),
        ({"end": 190}, "Range 1 was processed with another object"),
        ({"first_line_at": 110, "line_bytes": 90}, "first line at byte 110, the lines before it end at 100"),
        ({"first_line_at": 90, "line_bytes": 110}, "first line at byte 90, the lines before it end at 100"),
        ({"lines_end_at": 210, "line_bytes": 110}, "Range 2 has its first line at byte 200, .* end at 210"),
        ({"line_bytes": 90}, "Range 1 has 100 bytes of lines, but handled 90 and left out 0"),
        ({"blank_bytes": 5}, "Range 1 has 100 bytes of lines, but handled 100 and left out 5"),
        ({"lines": 11}, "Range 1 has 11 lines, but 10 rows, 0 repeated, 0 quarantined"),
        ({"rows": 9, "published": 9}, "Range 1 has 10 lines, but 9 rows"),
        ({"repeated": 1}, "Range 1 has 10 lines, but 10 rows, 1 repeated"),
        ({"quarantined": 1}, "Range 1 has 10 lines, but 10 rows, 0 repeated, 1 quarantined and 0 withheld"),
        ({"withheld": 1}, "Range 1 has 10 lines, but 10 rows, 0 repeated, 0 quarantined and 1 withheld"),
        ({"lake_rows": 9}, "Range 1 has 10 rows, but its files in the lake have 9"),
        ({"published": 9}, "Range 1 has 10 events to publish, but 9 published"),
        ({"published": 11}, "Range 1 has 10 events to publish, but 11 published"),
        ({"index": 3}, "Range 3 is in the ledger and was not planned"),
    ],
)
def test_what_does_not_add_up_is_named(changes: dict[str, Any], message: str) -> None:
    pieces = ranges_of(300)
    ledger = [accounted(piece) for piece in pieces]
    ledger[1] = accounted(pieces[1], **changes)
    with pytest.raises(ReconciliationFailed, match=message):
        check(pieces, ledger)


def test_a_range_without_a_ledger_item_is_named() -> None:
    pieces = ranges_of(300)
    with pytest.raises(ReconciliationFailed, match="Range 1 has no ledger item"):
        check(pieces, [accounted(pieces[0]), accounted(pieces[2])])


def test_lines_that_end_before_the_object_are_found() -> None:
    pieces = ranges_of(200)
    ledger = [accounted(pieces[0]), accounted(pieces[1], lines_end_at=190, line_bytes=90, lines=10)]
    with pytest.raises(ReconciliationFailed, match="lines up to range 1 cover 190 of 200 bytes"):
        check(pieces, ledger)


def test_an_object_in_which_no_line_was_found_is_found() -> None:
    (piece,) = ranges_of(100)
    nothing = accounted(
        piece, first_line_at=None, lines_end_at=None, line_bytes=0, lines=0, rows=0, published=0
    )
    with pytest.raises(ReconciliationFailed, match="cover 0 of 100 bytes"):
        check([piece], [nothing])


def test_planned_ranges_have_to_tile_their_object() -> None:
    pieces = ranges_of(300)
    gap = [pieces[0], replace(pieces[2], index=1)]
    with pytest.raises(ReconciliationFailed, match="Range 1 begins at byte 200, the ranges before it"):
        check(gap, [accounted(piece) for piece in gap])
    with pytest.raises(ReconciliationFailed, match="ranges up to 1 cover 200 of 300 bytes"):
        check(pieces[:2], [accounted(piece) for piece in pieces[:2]])


def test_an_item_file_that_is_not_the_plan_is_found() -> None:
    pieces = ranges_of(300)
    ledger = [accounted(piece) for piece in pieces]
    with pytest.raises(ReconciliationFailed, match="says 4 ranges, and its item file has 3"):
        reconcile({**plan_of(pieces), "ranges": 4}, pieces, ledger, events=True)
    with pytest.raises(ReconciliationFailed, match="says 299 bytes, and its ranges cover 300"):
        reconcile({**plan_of(pieces), "bytes": 299}, pieces, ledger, events=True)
    with pytest.raises(ReconciliationFailed, match="same index"):
        check([pieces[0], pieces[0]], ledger[:1])


def test_ten_thousand_ranges_are_reconciled() -> None:
    pieces = ranges_of(*[2_500] * 400)
    assert len(pieces) == 10_000
    assert check(pieces, [accounted(piece) for piece in reversed(pieces)]).lines == 100_000


def spread(*extents: tuple[int, int] | None) -> tuple[list[ByteRange], list[LedgerItem]]:
    """Ranges of 100 bytes that have the lines from one byte to another, or none."""
    pieces = ranges_of(100 * len(extents))
    return pieces, [
        accounted(
            piece,
            first_line_at=extent[0] if extent else None,
            lines_end_at=extent[1] if extent else None,
            line_bytes=extent[1] - extent[0] if extent else 0,
        )
        for piece, extent in zip(pieces, extents, strict=True)
    ]


@pytest.mark.parametrize(
    ("extents", "message"),
    [
        (((0, 100), None, (100, 300)), "Range 2 has its first line at byte 100"),
        (((0, 199), None, (199, 300)), "Range 2 has its first line at byte 199"),
        (((0, 250), (250, 260), (260, 300)), "Range 1 has its first line at byte 250"),
        (((0, 200), (200, 250), (250, 300)), "Range 1 has its first line at byte 200"),
    ],
)
def test_a_line_belongs_to_the_range_that_it_starts_in_even_when_all_lines_join_up(
    extents: tuple[tuple[int, int] | None, ...], message: str
) -> None:
    with pytest.raises(ReconciliationFailed, match=message):
        check(*spread(*extents))


def test_a_line_may_start_with_the_first_and_with_the_last_byte_of_its_range() -> None:
    assert check(*spread((0, 100), (100, 300), None)).ranges == 3
    assert check(*spread((0, 199), (199, 200), (200, 300))).ranges == 3
