"""The handlers that end a run that was reconciled, on their sample events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from common import aws_clients
from healthlake_export import (
    acquire_run_lock,
    advance_watermark,
    publish_run_events,
)
from healthlake_export.errors import EventsNotAccepted, RunSuperseded
from healthlake_export.run_context import RunIdentity
from healthlake_export.run_events import export_failed
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings

Invoke = Callable[..., Any]

NOON = RunIdentity("run-of-noon", "arn", "store")


def test_a_completed_run_moves_the_watermark_to_its_start_request(invoke: Invoke, state: RunState) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    summary = invoke(advance_watermark, "run_was_reconciled")

    assert (summary["status"], summary["watermark"]) == ("COMPLETED", "2026-03-01T12:00:01.000Z")
    assert (summary["lines"], summary["published"], summary["repeated"], summary["quarantined"]) == (
        1200,
        1150,
        48,
        2,
    )
    after = state.read()
    assert (after.owner, after.watermark) == (None, "2026-03-01T12:00:01.000Z")
    assert after.published_ids == "runs/run-of-noon/published-ids.bin"


def test_a_completed_run_is_counted_in_the_metrics(
    invoke: Invoke, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    capsys.readouterr()

    invoke(advance_watermark, "run_was_reconciled")

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["ExportsCompleted"], line["ResourcesPublished"]) for line in metrics] == [([1.0], [1150.0])]


def test_advancing_twice_gives_the_same_answer_and_one_event(invoke: Invoke, state: RunState) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    first = invoke(advance_watermark, "run_was_reconciled")
    assert invoke(advance_watermark, "run_was_reconciled") == first
    assert len(state.outbox()) == 1


def test_a_run_that_lost_the_lock_moves_no_watermark(invoke: Invoke, state: RunState) -> None:
    invoke(acquire_run_lock, "replay_requested")

    with pytest.raises(RunSuperseded):
        invoke(advance_watermark, "run_was_reconciled")
    assert state.read().watermark is None


def test_a_replay_leaves_the_watermark_alone(invoke: Invoke, state: RunState, sample_event: Any) -> None:
    run = {**invoke(acquire_run_lock, "schedule_fired")["run"], "mode": "replay", "advancesWatermark": False}

    summary = invoke(advance_watermark, "run_was_reconciled", run=run)

    assert summary["watermark"] is None
    assert state.read().watermark is None


@pytest.mark.parametrize(("policy", "moves"), [("advance", True), ("hold", False)])
def test_an_export_with_errors_moves_the_watermark_or_holds_it_as_set(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch, policy: str, moves: bool
) -> None:
    monkeypatch.setenv("ON_EXPORT_ERRORS", policy)
    export_settings.cache_clear()
    invoke(acquire_run_lock, "schedule_fired")
    export = {"jobId": "job", "jobStatus": "COMPLETED_WITH_ERRORS", "requestedAt": "2026-03-01T12:00:01.000Z"}

    invoke(advance_watermark, "run_was_reconciled", export=export)

    assert (state.read().watermark is not None) is moves
    assert state.read().owner is None


def test_error_files_of_a_job_that_says_it_completed_are_errors_too(
    invoke: Invoke, state: RunState, sample_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ON_EXPORT_ERRORS", "hold")
    export_settings.cache_clear()
    invoke(acquire_run_lock, "schedule_fired")
    plan = sample_event("healthlake_export/run_was_reconciled")["plan"]

    assert invoke(advance_watermark, "run_was_reconciled", plan={**plan, "quarantined": 1})["held"]

    assert state.read().watermark is None


def test_the_completion_event_is_published_and_leaves_the_outbox(
    invoke: Invoke, state: RunState, bus: Any
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    invoke(advance_watermark, "run_was_reconciled")

    assert invoke(publish_run_events, "run_is_complete") == {"published": ["run-of-noon"]}

    event = bus()[0]
    assert (event["source"], event["detail-type"]) == ("healthlake-hub", "ExportCompleted")
    assert event["detail"]["published"] == 1150
    assert event["detail"]["endedAt"] == state.read_audit(NOON)["endedAt"], "what orders the outbox"
    assert state.outbox() == []


def test_an_event_that_the_bus_refuses_stays_in_the_outbox(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    invoke(advance_watermark, "run_was_reconciled")
    refusal = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    monkeypatch.setattr(aws_clients.events(), "put_events", lambda **_: refusal)

    with pytest.raises(EventsNotAccepted, match="ThrottlingException"):
        invoke(publish_run_events, "run_is_complete")

    assert len(state.outbox()) == 1


def test_one_refused_event_does_not_hold_back_the_others(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id, ended_at in (("z-first", "1"), ("a-second", "2"), ("m-third", "3")):
        run = RunIdentity(run_id, run_id, state.datastore_id)
        state.record_failure(run, {"status": "FAILED"}, export_failed({"runId": run_id, "endedAt": ended_at}))
    tried = []

    def refuse_the_first(Entries: Any) -> Any:  # noqa: N803 - boto3's name
        run_id = json.loads(Entries[0]["Detail"])["runId"]
        tried.append(run_id)
        refused = run_id == "z-first"
        return {
            "FailedEntryCount": int(refused),
            "Entries": [{"ErrorCode": "InternalException"} if refused else {}],
        }

    monkeypatch.setattr(aws_clients.events(), "put_events", refuse_the_first)

    with pytest.raises(EventsNotAccepted, match="z-first"):
        invoke(publish_run_events, "run_is_complete")

    assert tried == ["z-first", "a-second", "m-third"], "in the order in which the runs ended"
    assert [run_id for run_id, _ in state.outbox()] == ["z-first"]
