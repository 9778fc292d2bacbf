"""What the end of a run means for the watermark: it moves, or it is held, and at some point all pauses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from healthlake_export.datastore_state import DatastoreState
from healthlake_export.run_context import RunContext
from healthlake_export.run_progress import NO_PROGRESS, RunProgress, progress_of
from local.testing.range_lab import RUN

FREE = DatastoreState()


def progress(run: RunContext = RUN, state: DatastoreState = FREE, *, hold: bool) -> RunProgress:
    return progress_of(run, state, requested_at="12:00", published_ids="ids", hold=hold, now="13:00")


def test_a_run_moves_the_watermark_to_its_request_and_leaves_its_ids() -> None:
    assert progress(hold=False) == RunProgress(watermark="12:00", published_ids="ids")


def test_a_run_without_ids_forgets_those_of_the_run_before() -> None:
    moved = progress_of(RUN, FREE, requested_at="12:00", published_ids=None, hold=False, now="13:00")
    assert moved.assignments() == {"watermark": "12:00"}
    assert "publishedIds" in moved.removals()
    assert "publishedIds" not in progress(hold=False).removals()


def test_moving_the_watermark_ends_holds_and_pause() -> None:
    assert {"holds", "pausedAt"} <= set(progress(hold=False).removals())


def test_a_held_run_is_counted_and_moves_nothing() -> None:
    held = progress(hold=True)
    assert held.is_held
    assert (held.assignments(), held.removals()) == ({"holds": 1}, [])


def test_the_third_held_run_in_a_row_pauses() -> None:
    assert progress(state=DatastoreState(holds=1), hold=True).paused_at is None
    assert progress(state=DatastoreState(holds=2), hold=True).assignments() == {
        "holds": 3,
        "pausedAt": "13:00",
    }


def test_a_pause_keeps_the_time_at_which_it_began() -> None:
    paused = DatastoreState(holds=3, paused_at="11:00")
    assert progress(state=paused, hold=True).assignments() == {"holds": 4, "pausedAt": "11:00"}


def test_who_accepts_errors_moves_the_watermark_all_the_same() -> None:
    assert progress(replace(RUN, accepts_errors=True), hold=True).watermark == "12:00"


@pytest.mark.parametrize("hold", [True, False])
def test_a_run_of_a_part_makes_no_progress(hold: bool) -> None:
    assert progress(replace(RUN, advances_watermark=False), hold=hold) == NO_PROGRESS
