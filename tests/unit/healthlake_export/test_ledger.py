from __future__ import annotations

from typing import Any, cast

import pytest

from common.retry_policy import RetryPolicy
from healthlake_export.ledger import Ledger, LedgerItem
from local.testing.fake_services import FakeTable
from local.testing.range_lab import ARN, KEY, RUN, Lab, patient

ENTRY = LedgerItem(
    0, KEY, '"e"', 0, 10, 0, 10, 10, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 900, 0, "2026-11-20T10:30:00.000Z"
)


def ledger_in(table: FakeTable, tries: int = 5, waits: list[float] | None = None) -> Ledger:
    sleep = (waits if waits is not None else []).append
    policy = RetryPolicy(tries=tries, sleep=sleep, chance=lambda: 1.0)
    return Ledger(cast(Any, table), "hub-table", RUN, policy)


def test_the_ledger_reads_back_what_was_written() -> None:
    lab = Lab.holding(patient(1) + b"\n" + patient(2))
    written = lab.process(lab.ranges(50))
    assert list(lab.ledger().read()) == written
    assert any(entry.first_line_at is None for entry in written)


def test_the_ledger_and_the_owner_are_read_consistently() -> None:
    """What the last child has just written is part of the sum, and a lock that was just lost is lost."""
    table = FakeTable(ARN)
    ledger = ledger_in(table)
    assert list(ledger.read()) == []
    ledger.require_ownership()
    assert [request["ConsistentRead"] for request in table.queries + table.reads] == [True, True]


def test_a_transaction_that_met_another_is_tried_again() -> None:
    table, waits = FakeTable(ARN, "TransactionConflict", "TransactionConflict"), list[float]()
    ledger_in(table, waits=waits).write(ENTRY)
    assert table.calls == 3
    assert len(waits) == 2


def test_conflicts_are_not_retried_for_ever() -> None:
    table = FakeTable(ARN, *["TransactionConflict"] * 9)
    with pytest.raises(FakeTable.TransactionCanceledException):
        ledger_in(table, tries=3).write(ENTRY)
    assert table.calls == 3


def test_a_refusal_that_no_retry_changes_is_not_retried() -> None:
    table = FakeTable(ARN, "ValidationError")
    with pytest.raises(FakeTable.TransactionCanceledException):
        ledger_in(table).write(ENTRY)
    assert table.calls == 1
