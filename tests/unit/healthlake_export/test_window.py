"""Which window a run covers, and what its success means for the watermark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from healthlake_export.run_context import RunContext, RunIdentity
from healthlake_export.run_request import RunRequest
from healthlake_export.window import EventPolicy, Progress, plan_run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDENTITY = RunIdentity("run", "arn:run", "store")
STARTED = "2026-03-01T12:05:00.000Z"
FIRST = Progress()
LATER = Progress(NOON, "runs/before/published-ids.bin")
ALL_EVENTS = EventPolicy(change_events=True, full_run_events=True)


def plan(request: RunRequest, progress: Progress, policy: EventPolicy = ALL_EVENTS) -> RunContext:
    return plan_run(IDENTITY, request, progress, timedelta(minutes=2), policy, STARTED)


def test_the_first_run_is_full_and_asks_for_no_window() -> None:
    run = plan(RunRequest(), FIRST)

    assert (run.mode, run.since, run.until) == ("full", None, None)
    assert run.snapshot
    assert run.advances_watermark
    assert run.previous_ids is None


def test_a_later_run_asks_since_the_watermark_less_the_overlap_and_sets_no_end() -> None:
    run = plan(RunRequest(), LATER)

    assert (run.mode, run.since, run.until) == ("incremental", "2026-03-01T11:58:00.000Z", None)
    assert not run.snapshot
    assert run.advances_watermark
    assert run.previous_ids == "runs/before/published-ids.bin"


def test_a_full_run_advances_the_watermark_too() -> None:
    run = plan(RunRequest(full=True), LATER)

    assert (run.mode, run.since, run.advances_watermark) == ("full", None, True)
    assert run.previous_ids is None


@pytest.mark.parametrize(
    "request_",
    [
        RunRequest(since=NOON),
        RunRequest(until=NOON),
        RunRequest(types=("Patient",)),
        RunRequest(types=("Patient",), full=True),
    ],
)
def test_a_run_of_a_part_is_a_replay_and_leaves_the_watermark_alone(request_: RunRequest) -> None:
    run = plan(request_, LATER)

    assert run.mode == "replay"
    assert not run.advances_watermark
    assert run.previous_ids is None


def test_a_replay_asks_for_its_own_window_without_overlap() -> None:
    run = plan(RunRequest(since=NOON, until=NOON + timedelta(hours=1)), LATER)

    assert (run.since, run.until) == ("2026-03-01T12:00:00.000Z", "2026-03-01T13:00:00.000Z")
    assert not run.snapshot


@pytest.mark.parametrize(
    ("policy", "full_run", "change_run"),
    [
        (EventPolicy(change_events=True, full_run_events=True), True, True),
        (EventPolicy(change_events=True, full_run_events=False), False, True),
        (EventPolicy(change_events=False, full_run_events=True), False, False),
    ],
)
def test_which_runs_publish_is_a_matter_of_policy(
    policy: EventPolicy, full_run: bool, change_run: bool
) -> None:
    assert plan(RunRequest(full=True), LATER, policy).events is full_run
    assert plan(RunRequest(), LATER, policy).events is change_run


SILENT = EventPolicy(change_events=True, full_run_events=False)


def test_a_silent_full_run_sets_the_first_watermark_but_moves_none() -> None:
    assert plan(RunRequest(), FIRST, SILENT).advances_watermark
    assert not plan(RunRequest(full=True), LATER, SILENT).advances_watermark
    assert plan(RunRequest(), LATER, SILENT).advances_watermark


def test_where_nothing_is_published_at_all_a_full_run_moves_the_watermark() -> None:
    nothing = EventPolicy(change_events=False, full_run_events=False)

    assert plan(RunRequest(full=True), LATER, nothing).advances_watermark


def test_a_full_replay_of_some_types_is_a_snapshot_and_silent_as_full_runs_are() -> None:
    replay = RunRequest(types=("Patient",), full=True)

    assert plan(replay, LATER).snapshot
    assert plan(replay, LATER).events
    assert not plan(replay, LATER, SILENT).events


def test_a_run_survives_its_way_through_the_state_machine() -> None:
    run = plan(RunRequest(types=("Patient", "Group"), since=NOON), LATER)

    assert RunContext.from_state(run.to_state()) == run
