"""The bound on events of a run, drawn by many byte ranges at once, on moto's DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common import aws_clients
from healthlake_export.event_budget import EventBudget, can_exceed
from local.testing.moto_dynamodb import atomic_writes


@pytest.fixture(autouse=True)
def _one_write_at_a_time() -> Iterator[None]:
    with atomic_writes():
        yield


def budget(hub: Any, index: int = 0, limit: int = 10) -> EventBudget:
    return EventBudget(aws_clients.dynamodb(), hub.settings.table, "run-1", index, limit)


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


def test_blocks_are_large_where_the_bound_is(hub: Any) -> None:
    assert spent(budget(hub, limit=1_000_000), 1) == 1
    assert spent(budget(hub, index=1, limit=5_000), 1) == 0


def test_an_export_too_small_to_exceed_the_bound_need_not_be_counted() -> None:
    assert not can_exceed(29 * 1_000, limit=1_000)
    assert can_exceed(29 * 1_000 + 1, limit=1_000)
