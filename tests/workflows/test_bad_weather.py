"""A few runs in bad weather, judged as `make soak` judges hundreds; and the judge finds what is wrong."""

from __future__ import annotations

from typing import Any

from local.soak.faults.episode import live_through
from local.soak.faults.verdict import problems


def test_after_runs_in_bad_weather_nothing_is_lost_invented_or_left() -> None:
    outcome = live_through(seed=3, runs=2, told=lambda _: None)

    assert outcome.problems == []
    assert outcome.ends["COMPLETED"] >= 1


def test_what_was_never_published_or_never_was_is_found(hub: Any) -> None:
    hub.put(("Patient", "p1"), ("Patient", "p2"))
    hub.run()

    found = problems(hub, {("Patient", "p1"): ["1", "2"]})

    assert "version 2 of Patient/p1 was never published" in found
    assert "an event tells of version 1 of Patient/p2, which never was" in found


def test_a_run_that_still_goes_on_is_found_with_its_lock_and_its_job(hub: Any) -> None:
    hub.put(("Patient", "p1"))
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")

    found = problems(hub, {})

    assert f"the lock is held by {run.arn}, in phase EXPORTING" in found
    assert any(problem.startswith("an export job is ") for problem in found)
    assert f"run {run.name} is never said to have ended" in found
