"""What a hub has started ends with it: it shares a process, and moto, with the hub that is opened next."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from local.soak.faults.episode import live_through
from local.testing.export_hub import ExportHub
from local.testing.patience import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def ambient_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def started_since(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that go on, without cancelled timers of functions, which end on their own."""
    return [
        thread
        for thread in set(threading.enumerate()) - before
        if not (isinstance(thread, threading.Timer) and thread.finished.is_set())
    ]


def test_a_run_that_is_stopped_while_it_takes_the_lock_takes_none_of_the_next_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began = threading.Event()
    with ExportHub(monkeypatch) as hub:
        acquire = hub.bench.functions["AcquireRunLockFunction"]

        def late(event: Any, context: Any) -> Any:
            began.set()
            hub.bench.runs[0].wait()
            return acquire(event, context)

        hub.bench.functions["AcquireRunLockFunction"] = late
        hub.bench.start()
        assert began.wait(PATIENCE_SECONDS)

    assert [call.error for call in hub.bench.calls("AcquireRunLockFunction")] == [None]
    with ExportHub(monkeypatch) as following:
        assert following.state.owner is None


def test_a_hub_closed_in_the_middle_of_an_export_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    with ExportHub(monkeypatch) as hub:
        hub.put(("Patient", "p1"))
        hub.healthlake.faults.hold_next_job("IN_PROGRESS")
        hub.bench.start()
        hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")

    assert started_since(before) == []


def test_weather_that_breaks_off_leaves_no_thread() -> None:
    before = set(threading.enumerate())

    def break_off(told: str) -> None:
        if told.startswith("run 2"):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        live_through(seed=1, runs=2, told=break_off)  # with threads of its first run still going on

    assert started_since(before) == []
