"""The handler that begins a run, on its sample events."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import aws_clients
from common.errors import InvalidInput, InvalidSetting
from common.instants import format_instant
from healthlake_export import (
    acquire_run_lock,
    advance_watermark,
    clean_up_failed_run,
)
from healthlake_export.errors import ExportsPaused, RunLockHeld, RunSuperseded
from healthlake_export.run_context import RunContext, RunIdentity
from healthlake_export.run_events import export_failed
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings
from healthlake_export.table_keys import state_key

Invoke = Callable[..., Any]


def test_a_scheduled_run_takes_the_lock_and_plans_the_first_full_run(invoke: Invoke, state: RunState) -> None:
    run = invoke(acquire_run_lock, "schedule_fired")["run"]

    assert (run["runId"], run["mode"], run["since"]) == ("run-of-noon", "full", None)
    assert state.read().owner == run["executionArn"]


def test_an_asked_for_replay_names_its_types_and_window(invoke: Invoke) -> None:
    run = invoke(acquire_run_lock, "replay_requested")["run"]

    assert (run["mode"], run["types"]) == ("replay", ["Patient", "Observation"])
    assert (run["since"], run["until"]) == ("2026-02-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z")


def test_a_second_execution_finds_the_lock_held(invoke: Invoke) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    with pytest.raises(RunLockHeld):
        invoke(acquire_run_lock, "replay_requested")


def test_an_execution_whose_answer_was_lost_takes_its_lock_again(invoke: Invoke) -> None:
    first = invoke(acquire_run_lock, "schedule_fired")

    assert invoke(acquire_run_lock, "schedule_fired") == first


def test_a_wrong_input_is_refused_by_name_with_nothing_locked(invoke: Invoke, state: RunState) -> None:
    with pytest.raises(InvalidInput, match="'type'"):
        invoke(acquire_run_lock, "request_with_unknown_field")

    assert state.read().owner is None


@pytest.mark.parametrize(("name", "value"), [("CHECK_QUEUE_URL", ""), ("MAX_INLINE_BYTES", "many")])
def test_a_wrong_setting_of_any_function_is_refused_by_name_with_nothing_locked(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    export_settings.cache_clear()

    with pytest.raises(InvalidSetting, match=name):
        invoke(acquire_run_lock, "schedule_fired")

    assert state.read().owner is None


def test_an_execution_name_that_was_used_before_is_refused_before_anything_is_locked(
    invoke: Invoke, state: RunState
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    invoke(clean_up_failed_run, "execution_was_stopped")
    later = {"arn": "arn:again", "name": "run-of-noon", "startedAt": "2026-06-30T12:00:00.000Z"}

    with pytest.raises(InvalidInput, match="used before"):
        invoke(acquire_run_lock, "schedule_fired", execution=later)

    assert state.read().owner is None


def test_a_run_that_was_stopped_and_cleaned_up_while_it_began_is_not_opened_again(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_audit = RunState.open_audit

    def after_the_clean_up(state: RunState, run: RunContext, locked_at: str) -> bool:
        state.close(run.identity, {"runId": run.run_id, "status": "FAILED"}, export_failed({}))
        return open_audit(state, run, locked_at)

    monkeypatch.setattr(RunState, "open_audit", after_the_clean_up)

    with pytest.raises(RunSuperseded):
        invoke(acquire_run_lock, "schedule_fired")

    ((run_id, _),) = state.outbox()
    assert state.read_audit(RunIdentity(run_id, "arn", "store"))["status"] == "FAILED"


def test_the_age_of_the_watermark_is_told_whoever_holds_the_lock(
    invoke: Invoke, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(acquire_run_lock, "replay_requested")
    capsys.readouterr()

    with pytest.raises(RunLockHeld):
        invoke(acquire_run_lock, "schedule_fired")

    assert "WatermarkAgeSeconds" in capsys.readouterr().out


def test_the_time_that_a_first_export_may_take_does_not_count_to_the_age(
    invoke: Invoke, hub: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(acquire_run_lock, "replay_requested")
    began = datetime.now(UTC) - timedelta(seconds=hub.settings.max_export_seconds + 3600)
    aws_clients.dynamodb().update_item(
        TableName=hub.settings.table,
        Key=state_key(hub.settings.datastore_id),
        UpdateExpression="SET firstRunAt = :began",
        ExpressionAttributeValues={":began": {"S": format_instant(began)}},
    )
    capsys.readouterr()

    with pytest.raises(RunLockHeld):
        invoke(acquire_run_lock, "schedule_fired")

    (metric,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert 3600 <= metric["WatermarkAgeSeconds"][0] < 4200


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch, invoke: Invoke, state: RunState) -> None:
    """Three runs that HealthLake could not export in full, held."""
    monkeypatch.setenv("ON_EXPORT_ERRORS", "hold")
    export_settings.cache_clear()
    for number in range(3):
        execution = {"arn": f"arn:{number}", "name": str(number), "startedAt": "2026-03-01T12:00:00.000Z"}
        run = invoke(acquire_run_lock, "schedule_fired", execution=execution)["run"]
        export = {
            "jobId": "job",
            "jobStatus": "COMPLETED_WITH_ERRORS",
            "requestedAt": "2026-03-01T12:00:01.000Z",
        }
        assert invoke(advance_watermark, "run_was_reconciled", run=run, export=export)["held"]


@pytest.mark.usefixtures("paused")
def test_after_three_held_runs_what_the_schedule_starts_is_turned_away(
    invoke: Invoke, state: RunState, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportsPaused, match="3 held runs"):
        invoke(acquire_run_lock, "schedule_fired")

    assert state.read().owner is None
    assert '"ExportsPaused":[1.0]' in capsys.readouterr().out


@pytest.mark.usefixtures("paused")
def test_a_run_by_hand_goes_on_in_a_pause(invoke: Invoke, state: RunState) -> None:
    assert invoke(acquire_run_lock, "schedule_fired", request={})["run"]["startedBy"] == "unknown"


@pytest.mark.usefixtures("paused")
def test_resuming_lets_the_schedule_start_runs_again(invoke: Invoke, state: RunState) -> None:
    assert state.resume()
    assert not state.resume()

    assert invoke(acquire_run_lock, "schedule_fired")["run"]["startedBy"] == "schedule"


def test_a_run_in_progress_has_an_audit_item(invoke: Invoke, state: RunState) -> None:
    run = invoke(acquire_run_lock, "schedule_fired")["run"]

    audit = state.read_audit(RunIdentity.of_execution(run["executionArn"], run["datastoreId"]))

    assert (audit["status"], audit["mode"], audit["startedAt"]) == ("RUNNING", "full", run["startedAt"])
