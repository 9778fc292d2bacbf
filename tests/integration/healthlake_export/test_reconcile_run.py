"""Reconciling a run, with the handler, on moto."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from healthlake_export import process_range, reconcile_run
from healthlake_export.errors import (
    ReconciliationFailed,
)
from local.testing.mocked_hub import REGION
from local.testing.run_of_noon import (
    FIRST_ID,
    PATIENTS,
    SECOND_ID,
    ledger_of,
    put,
    read,
)

SampleEvent = Callable[[str], Any]


def test_a_run_whose_ranges_add_up_has_totals_and_the_ids_for_the_next(
    run_of_noon: dict[str, Any], sample_event: SampleEvent, lambda_context: Any
) -> None:
    process_range.lambda_handler(run_of_noon, lambda_context)
    put("runs/run-of-noon/ranges.json", json.dumps([run_of_noon["range"]]).encode())
    totals = reconcile_run.lambda_handler(sample_event("healthlake_export/ranges_processed"), lambda_context)
    assert totals.pop("lakeBytes") > 0
    assert totals == {
        "files": 1,
        "ranges": 1,
        "bytes": len(PATIENTS),
        "lines": 3,
        "rows": 1,
        "published": 1,
        "batched": 0,
        "repeated": 1,
        "quarantined": 1,
        "withheld": 0,
        "lakeFiles": 1,
        "publishedIdsKey": "runs/run-of-noon/published-ids.bin",
    }
    assert read(totals["publishedIdsKey"]) == b"".join(sorted([FIRST_ID, SECOND_ID]))


def test_a_range_that_was_never_processed_fails_the_run(
    run_of_noon: dict[str, Any], sample_event: SampleEvent, lambda_context: Any
) -> None:
    put("runs/run-of-noon/ranges.json", json.dumps([run_of_noon["range"]]).encode())
    with pytest.raises(ReconciliationFailed, match="Range 0 has no ledger item"):
        reconcile_run.lambda_handler(sample_event("healthlake_export/ranges_processed"), lambda_context)


def test_a_run_that_exported_nothing_has_totals_of_zero(
    hub: Any, sample_event: SampleEvent, lambda_context: Any
) -> None:
    totals = reconcile_run.lambda_handler(
        sample_event("healthlake_export/nothing_was_exported"), lambda_context
    )
    assert totals.pop("publishedIdsKey") is None
    assert set(totals.values()) == {0}


def test_the_ledger_of_many_ranges_is_read_page_by_page(
    run_of_noon: dict[str, Any], lambda_context: Any
) -> None:
    process_range.lambda_handler(run_of_noon, lambda_context)
    table = boto3.resource("dynamodb", REGION).Table("hub")
    item = table.get_item(Key={"pk": "RUN#run-of-noon", "sk": "RANGE#000000"})["Item"]
    for index in range(60):
        table.put_item(Item={**item, "sk": f"RANGE#{index:06d}", "index": index, "padding": "x" * 40_000})
    assert [entry.index for entry in ledger_of(run_of_noon).read()] == list(range(60))
