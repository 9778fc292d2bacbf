from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.instants import parse_instant
from healthlake_export import published_ids
from healthlake_export.published_ids import (
    IdCollector,
    OverlapWindow,
    PublishedIds,
    merge_ids,
    range_ids_key,
    run_ids_key,
    split_ids,
)

IDS = st.binary(min_size=16, max_size=16) | st.integers(0, 20).map(lambda n: n.to_bytes(16, "big"))


@given(st.sets(IDS), st.lists(IDS))
def test_looking_up_an_id_equals_set_membership(kept: set[bytes], asked: list[bytes]) -> None:
    ids = PublishedIds(b"".join(sorted(kept)))
    assert len(ids) == len(kept)
    for identity in [*asked, *kept]:
        assert (identity in ids) == (identity in kept)


@given(st.lists(IDS))
def test_collected_ids_come_back_sorted_each_once(added: list[bytes]) -> None:
    collector = IdCollector()
    for identity in added:
        collector.add(identity)
    assert collector.sorted_ids() == b"".join(sorted(set(added)))


def test_an_id_that_is_left_out_does_not_come_back() -> None:
    collector = IdCollector()
    for name in (b"a", b"b", b"a", b"c"):
        collector.add(name * 16)
    collector.leave_out(b"a" * 16)
    collector.leave_out(b"d" * 16)
    collector.add(b"a" * 16)
    assert collector.sorted_ids() == b"b" * 16 + b"c" * 16


def test_more_ids_than_a_block_holds_are_sorted_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_ids, "_BLOCK_IDS", 3)
    collector = IdCollector()
    added = [bytes([number]) * 16 for number in (9, 2, 7, 1, 8, 3, 6, 2)]
    for identity in added:
        collector.add(identity)
    assert collector.sorted_ids() == b"".join(sorted(set(added)))


@given(st.lists(st.sets(IDS), max_size=5))
def test_merging_sorted_ids_equals_the_union(sets: list[set[bytes]]) -> None:
    assert list(merge_ids(sorted(ids) for ids in sets)) == sorted(set().union(*sets))


def test_ids_split_into_sixteen_bytes_each() -> None:
    assert list(split_ids(b"a" * 16 + b"b" * 16)) == [b"a" * 16, b"b" * 16]


@pytest.mark.parametrize(
    ("last_updated", "held"),
    [
        ("2026-11-20T10:00:00.000Z", True),
        ("2026-11-20T09:58:00Z", True),
        ("2026-11-20T09:57:59.500Z", True),
        ("2026-11-20T09:57:58.999Z", False),
        ("2026-11-20T10:58:30+01:00", True),
        ("2026-11-20T10:57:30+01:00", False),
        ("2026-11-20T09:59:00.123456789Z", True),
        ("2026-11-19", True),
        ("2020-01-01T00:00:00", True),
        ("yesterday", True),
        ("9999-12-31T23:59:59-14:00", True),
        ("0001-01-01T00:00:00+14:00", False),
        (None, True),
    ],
)
def test_the_overlap_holds_what_the_next_run_may_see_again(last_updated: str | None, held: bool) -> None:
    assert OverlapWindow("2026-11-20T10:00:00.000Z", 120).holds(last_updated) is held


@pytest.mark.parametrize(
    ("latest", "certain"),
    [
        ("2026-11-20T09:57:58.999Z", True),
        ("2026-11-20T09:57:59.000Z", False),  # cut, it may be half a millisecond later
        ("2026-11-20T09:57:59.001Z", False),
        ("9999-12-31T23:59:59.999Z", False),
        (None, False),
    ],
)
def test_the_overlap_begins_after_what_is_earlier_however_it_was_cut(
    latest: str | None, certain: bool
) -> None:
    overlap = OverlapWindow("2026-11-20T10:00:00.000500Z", 120)
    assert overlap.begins_after(None if latest is None else parse_instant(latest)) is certain


def test_keys_are_derived_from_run_and_range() -> None:
    assert range_ids_key("run-1", 7) == "runs/run-1/published-ids/000007.bin"
    assert run_ids_key("run-1") == "runs/run-1/published-ids.bin"
