"""The bound on events of a run, drawn by many byte ranges at once, on moto's DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common import aws_clients
from healthlake_export.event_budget import EventBudget, can_exceed
from healthlake_export.table_keys import granted_events_key
from local.testing.moto_dynamodb import atomic_writes


@pytest.fixture(autouse=True)
def _one_write_at_a_time() -> Iterator[None]:
    with atomic_writes():
        yield


def budget(hub: Any, index: int = 0, limit: int = 10, at_once: int = 1) -> EventBudget:
    return EventBudget(aws_clients.dynamodb(), hub.settings.table, "run-1", index, limit, at_once)


def spent(drawing: EventBudget, tries: int) -> int:
    return sum(drawing.take() for _ in range(tries))


def test_a_range_alone_may_spend_all(hub: Any) -> None:
    assert spent(budget(hub), 30) == 10


def test_ranges_at_once_never_spend_more_than_the_run_has(hub: Any) -> None:
    with ThreadPoolExecutor(4) as ranges:
        amounts = list(ranges.map(lambda index: spent(budget(hub, index, limit=50), 30), range(4)))
    assert sum(amounts) == 50


def test_a_range_that_is_processed_again_spends_what_it_was_granted_and_no_more(hub: Any) -> None:
    assert spent(budget(hub), 6) == 6
    assert spent(budget(hub), 6) == 6
    assert spent(budget(hub, index=1), 30) == 4


def test_blocks_are_large_where_the_bound_is_and_have_a_limit_of_their_own(hub: Any) -> None:
    assert spent(budget(hub, limit=1_000_000), 1) == 1
    assert spent(budget(hub, index=1, limit=5_000), 1) == 0
    assert spent(budget(hub, index=1, limit=1_000_000), 1) == 1
    assert granted(hub) == 10_000
    spent(budget(hub, index=2, limit=100_000_000), 1)
    assert granted(hub) == 15_000


def test_ranges_at_work_at_once_hold_no_more_than_a_fifth_of_the_bound(hub: Any) -> None:
    for index in range(100):
        assert spent(budget(hub, index, limit=100_000, at_once=100), 1) == 1
    assert granted(hub) == 20_000


def test_many_small_ranges_do_not_use_up_what_they_do_not_need(hub: Any) -> None:
    for index in range(120):
        drawing = budget(hub, index, limit=1_000)
        assert spent(drawing, 3) == 3, f"range {index}"
        drawing.give_back()
    assert granted(hub) == 360


def test_a_range_that_gave_back_spends_the_same_when_it_is_processed_again(hub: Any) -> None:
    drawing = budget(hub, limit=1_000)
    spent(drawing, 13)
    drawing.give_back()
    others = budget(hub, index=1, limit=1_000)
    assert spent(others, 2_000) == 980, "all whole blocks that are left"

    assert spent(budget(hub, limit=1_000), 20) == 13


def test_nothing_drawn_or_all_of_it_spent_gives_nothing_back(hub: Any) -> None:
    budget(hub).give_back()
    assert granted(hub) == 0
    drawing = budget(hub)
    spent(drawing, 4)
    drawing.give_back()
    drawing.give_back()
    assert granted(hub) == 4


def test_a_range_that_has_gone_over_to_batches_stays_there(hub: Any) -> None:
    """Its retry tells of the same changes in the same way: those at the beginning alone, the others not."""
    others = [budget(hub, index, limit=1_000) for index in (1, 2)]
    assert [spent(others[0], 491), spent(others[1], 481)] == [491, 481]
    drawing = budget(hub, limit=1_000)
    assert spent(drawing, 20) == 10
    for other in others:
        other.give_back()
    assert granted(hub) == 982, "a block is free again"

    assert not drawing.take()


def test_of_two_that_process_a_range_at_once_one_draws_on(hub: Any) -> None:
    first, second = budget(hub), budget(hub)
    assert first.take()
    assert second.take()
    assert first.take()

    assert not second.take()
    assert granted(hub) == 2


def granted(hub: Any, run_id: str = "run-1") -> int:
    item = aws_clients.dynamodb().get_item(TableName=hub.settings.table, Key=granted_events_key(run_id))
    return int(item.get("Item", {"granted": {"N": "0"}})["granted"]["N"])


def test_an_export_too_small_to_exceed_the_bound_need_not_be_counted() -> None:
    assert not can_exceed(29 * 1_000, limit=1_000)
    assert can_exceed(29 * 1_000 + 1, limit=1_000)
