"""Executions that end where no Catch sees it, in every phase of a run: stopped, out of time, killed by
`States.DataLimitExceeded`. A rule on status changes cleans up after them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from healthlake_export.fhir_export_api import FhirExportApi
from local.testing.ended_executions import (
    answer_too_much,
    changed_definition,
    end_wait_with_too_much,
    gated,
    hold,
    stop,
    time_out,
)
from local.testing.export_hub import DEFINITION, ExportHub
from local.testing.moments import Gate
from local.testing.patience import PATIENCE_SECONDS

ENDINGS = {"stopped": (stop, "ABORTED"), "timed out": (time_out, "TIMED_OUT")}

FAILED, COMPLETED = "failed", "completed"
HELD_AT_A_FUNCTION = {
    "acquire, lock taken": ("AcquireRunLockFunction", "after", FAILED),
    "wait, LOCKED": ("StartExportFunction", "before", FAILED),
    "plan": ("PlanRangesFunction", "before", FAILED),
    "plan, planned": ("PlanRangesFunction", "after", FAILED),
    "map": ("ProcessRangeFunction", "before", FAILED),
    "map, range processed": ("ProcessRangeFunction", "after", FAILED),
    "reconcile": ("ReconcileRunFunction", "before", FAILED),
    "advance": ("AdvanceWatermarkFunction", "before", FAILED),
    "advance, advanced": ("AdvanceWatermarkFunction", "after", COMPLETED),
    "publish": ("PublishRunEventsFunction", "before", COMPLETED),
    "publish, published": ("PublishRunEventsFunction", "after", COMPLETED),
}
FINAL = {"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCEL_COMPLETED"}


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest) -> None:
    """Something to export."""
    if "hub" in request.fixturenames:
        request.getfixturevalue("hub").put(("Patient", "p1"))


def clean_ups(hub: Any) -> list[Any]:
    """What the rule has invoked the clean-up with."""
    return [call for call in hub.bench.calls("CleanUpFailedRunFunction") if "detail" in call.event]


def end_at(hub: Any, gate: Gate, function: str, end: Callable[[Any], None]) -> Any:
    """A run that has ended while its function was held at the gate, and been cleaned up; the function goes on
    after that, as those of a stopped execution do."""
    run = hub.bench.start()
    assert gate.reached.wait(PATIENCE_SECONDS), run.path
    returned = len(hub.bench.calls(function))
    end(run)
    hub.bench.wait_until(lambda: bool(clean_ups(hub)))
    gate.opened.set()
    others = len(clean_ups(hub)) if function == "CleanUpFailedRunFunction" else 0
    hub.bench.wait_until(lambda: len(hub.bench.calls(function)) > returned + others)
    return run


def assert_cleaned_up(hub: Any, run: Any, status: str, error: str, outcome: str) -> None:
    """What holds after every such end."""
    assert run.status == status
    assert hub.state.owner is None
    hub.bench.wait_until(lambda: set(hub.jobs()) <= FINAL)
    told = [(event["runId"], event["error"]) for event in hub.run_events("ExportFailed")]
    completed = {event["runId"] for event in hub.run_events("ExportCompleted")}
    if outcome == FAILED:
        assert (told, completed) == ([(run.name, error)], set())
        assert hub.state.watermark is None
    else:
        assert (told, completed) == ([], {run.name})
        assert hub.state.watermark is not None
    assert hub.outbox() == []


def assert_the_next_run_catches_up(hub: Any) -> None:
    hub.put(("Patient", "p2"))
    run = hub.run()
    assert run.status == "SUCCEEDED", run.cause
    assert {event["meta"]["id"] for event in hub.resource_events()} == {"p1", "p2"}
    assert hub.state.owner is None


@pytest.mark.parametrize("phase", HELD_AT_A_FUNCTION)
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_execution_ended_in_a_phase_is_cleaned_up(hub: Any, ending: str, phase: str) -> None:
    function, when, outcome = HELD_AT_A_FUNCTION[phase]
    end, status = ENDINGS[ending]

    run = end_at(hub, hold(hub, function, when), function, end)

    assert_cleaned_up(hub, run, status, status, outcome)
    assert_the_next_run_catches_up(hub)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_execution_ended_while_its_job_is_being_asked_for_leaves_no_job(
    hub: Any, monkeypatch: pytest.MonkeyPatch, ending: str, when: str
) -> None:
    gate = Gate()
    monkeypatch.setattr(FhirExportApi, "start", gated(FhirExportApi.start, gate, when))
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    end, status = ENDINGS[ending]

    run = end_at(hub, gate, "StartExportFunction", end)

    assert_cleaned_up(hub, run, status, status, FAILED)
    assert hub.jobs() == ["CANCEL_COMPLETED"]
    assert_the_next_run_catches_up(hub)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_execution_ended_while_its_job_runs_cancels_the_job(hub: Any, ending: str) -> None:
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    end, status = ENDINGS[ending]
    run = hub.bench.start()
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")

    end(run)
    hub.bench.wait_until(lambda: bool(clean_ups(hub)))

    assert_cleaned_up(hub, run, status, status, FAILED)
    assert hub.jobs() == ["CANCEL_COMPLETED"]
    assert_the_next_run_catches_up(hub)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_execution_ended_in_its_clean_up_has_failed_once(hub: Any, ending: str, when: str) -> None:
    hub.healthlake.faults.fail_next_job()
    function = "CleanUpFailedRunFunction"
    end, status = ENDINGS[ending]

    run = end_at(hub, hold(hub, function, when), function, end)

    assert_cleaned_up(hub, run, status, status if when == "before" else "ExportFailed", FAILED)
    assert_the_next_run_catches_up(hub)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_lock_taken_after_its_execution_has_ended_is_taken_over_by_the_next_run(
    hub: Any, ending: str
) -> None:
    function = "AcquireRunLockFunction"
    end, status = ENDINGS[ending]

    run = end_at(hub, hold(hub, function, "before"), function, end)

    assert run.status == status
    hub.bench.wait_until(lambda: hub.state.owner == run.arn)
    assert_the_next_run_catches_up(hub)
    assert {event["runId"] for event in hub.run_events("ExportFailed")} == {run.name}


@pytest.mark.parametrize(
    ("function", "outcome"),
    [
        ("AcquireRunLockFunction", FAILED),
        ("PlanRangesFunction", FAILED),
        ("ReconcileRunFunction", FAILED),
        ("AdvanceWatermarkFunction", COMPLETED),
        ("PublishRunEventsFunction", COMPLETED),
    ],
)
def test_an_execution_killed_by_an_answer_that_is_too_large_is_cleaned_up(
    hub: Any, function: str, outcome: str
) -> None:
    answer_too_much(hub, function)

    run = hub.run()
    hub.bench.wait_until(lambda: bool(clean_ups(hub)))

    assert run.error == "States.DataLimitExceeded"
    assert "Clean Up Failed Run" not in run.path
    assert_cleaned_up(hub, run, "FAILED", "DataLimitExceeded", outcome)
    assert_the_next_run_catches_up(hub)


@pytest.mark.parametrize("phase", ["LOCKED", "STARTING", "EXPORTING"])
def test_an_execution_killed_by_its_data_while_it_waits_is_cleaned_up(
    hub: Any, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    gate = Gate()
    if phase == "LOCKED":
        gate = hold(hub, "StartExportFunction", "before")
    elif phase == "STARTING":
        monkeypatch.setattr(FhirExportApi, "start", gated(FhirExportApi.start, gate, "after"))
    run = hub.bench.start()
    hub.bench.wait_until(lambda: phase == "EXPORTING" or gate.reached.is_set())
    hub.bench.wait_until(lambda: hub.state.phase == phase)

    end_wait_with_too_much(run)
    run.wait()
    hub.bench.wait_until(lambda: bool(clean_ups(hub)))
    started = len(hub.bench.calls("StartExportFunction"))
    gate.opened.set()
    hub.bench.wait_until(
        lambda: phase == "EXPORTING" or len(hub.bench.calls("StartExportFunction")) > started
    )

    assert run.error == "States.DataLimitExceeded"
    assert_cleaned_up(hub, run, "FAILED", "DataLimitExceeded", FAILED)
    hub.healthlake.faults.clear()
    assert_the_next_run_catches_up(hub)


def test_an_execution_killed_by_the_answer_of_its_clean_up_has_failed_once(hub: Any) -> None:
    hub.healthlake.faults.fail_next_job()
    answer_too_much(hub, "CleanUpFailedRunFunction")

    run = hub.run()
    hub.bench.wait_until(lambda: bool(clean_ups(hub)))

    assert run.error == "States.DataLimitExceeded"
    assert_cleaned_up(hub, run, "FAILED", "ExportFailed", FAILED)
    assert_the_next_run_catches_up(hub)


def test_an_execution_killed_by_the_results_of_its_map_is_cleaned_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keeping_results = changed_definition(DEFINITION, tmp_path, ('"ResultSelector": {},\n', ""))
    with ExportHub(monkeypatch, keeping_results) as hub:
        hub.put(("Patient", "p1"), ("Group", "p2"))
        process = hub.bench.functions["ProcessRangeFunction"]
        large = {"more": "x" * (200 * 1024)}
        hub.bench.functions["ProcessRangeFunction"] = lambda event, context: {
            **process(event, context),
            **large,
        }

        run = hub.run()
        hub.bench.wait_until(lambda: bool(clean_ups(hub)))

        assert [child.status for child in run.children] == ["SUCCEEDED"] * 2
        assert run.error == "States.DataLimitExceeded"
        assert_cleaned_up(hub, run, "FAILED", "DataLimitExceeded", FAILED)
        hub.bench.functions["ProcessRangeFunction"] = process
        assert_the_next_run_catches_up(hub)


def test_a_child_killed_by_its_data_fails_the_run_by_its_catch(hub: Any) -> None:
    answer_too_much(hub, "ProcessRangeFunction")

    run = hub.run()

    assert run.children[0].error == "States.DataLimitExceeded"
    assert_cleaned_up(hub, run, "FAILED", "ExceedToleratedFailureThreshold", FAILED)
    assert_the_next_run_catches_up(hub)


def test_an_execution_that_takes_longer_than_it_may_is_cleaned_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = changed_definition(DEFINITION, tmp_path, ('"TimeoutSeconds": 864000', '"TimeoutSeconds": 4'))
    with ExportHub(monkeypatch, short) as hub:
        hub.put(("Patient", "p1"))
        hub.healthlake.faults.hold_next_job("IN_PROGRESS")

        run = hub.run()
        hub.bench.wait_until(lambda: bool(clean_ups(hub)))

        assert run.path[-1] == "Wait For Export"
        assert_cleaned_up(hub, run, "TIMED_OUT", "TIMED_OUT", FAILED)
        assert hub.jobs() == ["CANCEL_COMPLETED"]
