"""What the end of a run adds to the metrics that alarms look at, by the handler on its sample event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common import aws_clients
from healthlake_export import advance_watermark
from healthlake_export.errors import RunSuperseded
from healthlake_export.run_context import RunContext
from healthlake_export.run_events import export_failed
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings

Ends = Callable[..., Any]


@pytest.fixture
def event(hub: Any, sample_event: Any) -> Any:
    """A run of noon that has the lock and was reconciled."""
    event = sample_event("healthlake_export/run_was_reconciled")
    run = RunContext.from_state(event["run"])
    state = RunState(aws_clients.dynamodb(), hub.settings.table, run.datastore_id)
    assert state.acquire(run.run_id, run.execution_arn, now="now", stale_after="later")
    return event


@pytest.fixture
def counted(event: Any, lambda_context: Any, monkeypatch: pytest.MonkeyPatch) -> Ends:
    """Ends the run of noon, changed as given, and returns what was counted."""
    metrics: dict[str, int] = {}
    monkeypatch.setattr(advance_watermark, "count", lambda **counts: metrics.update(counts))

    def end(**changes: dict[str, Any]) -> dict[str, int]:
        changed = {**event, **{part: {**event[part], **values} for part, values in changes.items()}}
        advance_watermark.lambda_handler(changed, lambda_context)
        return metrics

    return end


def test_a_run_within_its_bound_counts_no_excess_and_no_hold(counted: Ends) -> None:
    metrics = counted()
    assert (metrics["ExportsCompleted"], metrics["EventLimitExceeded"], metrics["ExportsHeld"]) == (1, 0, 0)


def test_a_run_that_went_over_to_batches_exceeded_its_bound(counted: Ends) -> None:
    assert counted(totals={"batched": 40})["EventLimitExceeded"] == 1


def test_a_run_in_batches_exceeds_no_bound(counted: Ends) -> None:
    assert counted(run={"batches": True}, totals={"batched": 1150})["EventLimitExceeded"] == 0


def test_a_held_run_counts_as_held(counted: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ON_EXPORT_ERRORS", "hold")
    export_settings.cache_clear()
    metrics = counted(export={"jobStatus": "COMPLETED_WITH_ERRORS"}, plan={"quarantined": 3})
    assert (metrics["ExportsHeld"], metrics["ResourcesNotExported"]) == (1, 3)


def test_totals_of_an_execution_that_began_before_batches_existed_have_none(
    event: Any, lambda_context: Any
) -> None:
    del event["totals"]["batched"]
    assert advance_watermark.lambda_handler(event, lambda_context)["batched"] == 0


def test_a_run_that_was_cleaned_up_meanwhile_has_not_completed(
    hub: Any, event: Any, lambda_context: Any
) -> None:
    run = RunContext.from_state(event["run"])
    state = RunState(aws_clients.dynamodb(), hub.settings.table, run.datastore_id)
    assert state.close(run.identity, {"runId": run.run_id, "status": "FAILED"}, export_failed({}))

    with pytest.raises(RunSuperseded):
        advance_watermark.lambda_handler(event, lambda_context)

    assert state.read().watermark is None
    assert state.read_audit(run.identity)["status"] == "FAILED"
