"""HealthLake could not export some resources: the watermark advances or is held, and exports pause."""

from __future__ import annotations

from typing import Any

import pytest

from local.healthlake.faults import FailedResource

SCHEDULED = {"startedBy": "schedule"}
HELD_BEFORE_PAUSE = 3


@pytest.fixture(autouse=True)
def _patients(hub: Any) -> None:
    """Three to export."""
    hub.put(("Patient", "p1"), ("Patient", "p2"), ("Patient", "p3"))


@pytest.fixture
def holding(hub: Any) -> Any:
    """The hub as it is with OnExportErrors=hold."""
    hub.configure(ON_EXPORT_ERRORS="hold")
    return hub


def run_with_errors(hub: Any, request: Any = None) -> Any:
    """A run whose export leaves p2 out."""
    hub.healthlake.faults.errors_in_next_job(FailedResource("Patient", "p2"))
    run = hub.run(SCHEDULED if request is None else request)
    assert run.status == "SUCCEEDED", run.cause
    return run


def pause(hub: Any) -> None:
    for _ in range(HELD_BEFORE_PAUSE):
        run_with_errors(hub)
    assert hub.state.paused_at is not None


def test_a_run_with_export_errors_advances_the_watermark_by_default(hub: Any) -> None:
    run = run_with_errors(hub)

    assert (run.output["jobStatus"], run.output["exportErrors"]) == ("COMPLETED_WITH_ERRORS", 1)
    assert (run.output["lines"], run.output["published"], run.output["quarantined"]) == (3, 2, 1)
    assert hub.state.watermark == run.output["watermark"] is not None
    assert [record["reason"] for record in hub.quarantined()] == ["EXPORT_ERROR"]


def test_a_run_whose_every_resource_failed_is_a_success_without_a_map(hub: Any) -> None:
    failed = [FailedResource("Patient", one) for one in ("p1", "p2", "p3")]
    hub.healthlake.faults.errors_in_next_job(*failed)

    run = hub.run()

    assert "Process Export Files" not in run.path
    assert (run.output["files"], run.output["lines"], run.output["quarantined"]) == (0, 3, 3)
    assert len(hub.quarantined()) == 3


def test_a_held_run_completes_and_publishes_and_leaves_the_watermark(holding: Any) -> None:
    run = run_with_errors(holding)

    assert (run.output["held"], run.output["watermark"], run.output["published"]) == (True, None, 2)
    assert (holding.state.watermark, holding.state.holds, holding.state.paused_at) == (None, 1, None)
    assert holding.state.owner is None
    assert [event["held"] for event in holding.run_events("ExportCompleted")] == [True]


def test_the_run_after_a_held_one_covers_its_window_again(holding: Any) -> None:
    holding.run()
    watermark = holding.state.watermark
    holding.put(("Patient", "p2"))
    run_with_errors(holding)
    assert holding.state.watermark == watermark

    run = holding.run(SCHEDULED)

    assert run.output["mode"] == "incremental"
    versions = [(event["meta"]["id"], event["meta"]["versionId"]) for event in holding.resource_events(run)]
    assert versions == [("p2", "2")]
    assert holding.state.watermark == run.output["watermark"] > watermark


def test_a_run_without_errors_ends_the_count_of_held_runs(holding: Any) -> None:
    run_with_errors(holding)
    run_with_errors(holding)
    assert holding.state.holds == 2

    holding.run(SCHEDULED)

    assert (holding.state.holds, holding.state.paused_at) == (0, None)


def test_after_three_held_runs_those_of_the_schedule_end_as_paused(holding: Any) -> None:
    pause(holding)
    jobs = len(holding.jobs())

    run = holding.run(SCHEDULED)

    assert run.status == "SUCCEEDED"
    assert run.path == ["Acquire Run Lock", "Say That Exports Are Paused", "Exports Paused"]
    assert (run.output["runId"], run.output["status"]) == (run.name, "PAUSED")
    assert "watermark waits for a person" in run.output["cause"]
    assert len(holding.jobs()) == jobs
    assert holding.state.owner is None
    assert holding.run_events("ExportFailed") == []


def test_a_run_by_hand_goes_on_while_exports_are_paused_and_ends_the_pause_when_nothing_fails(
    holding: Any,
) -> None:
    pause(holding)

    run = holding.run()

    assert run.output["held"] is False
    assert (holding.state.paused_at, holding.state.holds) == (None, 0)
    assert holding.run(SCHEDULED).path[-1] == "Export Completed"


def test_a_run_by_hand_that_fails_the_same_way_leaves_the_pause(holding: Any) -> None:
    pause(holding)
    since = holding.state.paused_at

    run_with_errors(holding, {"startedBy": "someone"})

    assert (holding.state.paused_at, holding.state.holds) == (since, HELD_BEFORE_PAUSE + 1)
    assert holding.state.watermark is None


def test_a_run_that_accepts_errors_advances_the_watermark_and_ends_the_pause(holding: Any) -> None:
    pause(holding)

    run = run_with_errors(holding, {"acceptErrors": True})

    assert (run.output["held"], run.output["exportErrors"]) == (False, 1)
    assert holding.state.watermark == run.output["watermark"] is not None
    assert (holding.state.paused_at, holding.state.holds) == (None, 0)
    assert holding.run(SCHEDULED).path[-1] == "Export Completed"


def test_a_replay_with_errors_is_not_held_and_does_not_count(holding: Any) -> None:
    run = run_with_errors(holding, {"types": ["Patient"]})

    assert (run.output["held"], holding.state.holds) == (False, 0)
