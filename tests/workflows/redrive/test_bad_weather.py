"""A few redrives in bad weather, judged as `make soak` judges hundreds; and the judge finds what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dlq_redrive.counted_redrive import CountedRedrive
from local.soak.redrive.clock import Clock
from local.soak.redrive.episode import live_through
from local.testing.patience import PATIENCE_SECONDS


def test_after_redrives_in_bad_weather_nothing_is_lost_told_held_or_sent_back_for_ever() -> None:
    outcome = live_through(seed=3, runs=2, told=lambda _: None)

    assert outcome.problems == []
    assert outcome.processed > 0
    assert outcome.quarantined > 0


def test_a_message_that_is_deleted_before_it_is_sent_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    send: Callable[..., Any] = CountedRedrive._send

    def too_late(self: CountedRedrive, way: Any, letter: Any, identity: str) -> Any:
        self._delete(letter)
        if "one-1000002 " in letter.body:
            raise ValueError("the function broke")
        return send(self, way, letter, identity)

    monkeypatch.setattr(CountedRedrive, "_send", too_late)

    problems = live_through(seed=3, runs=0, told=lambda _: None).problems

    assert any("one-1000002" in problem and "are lost" in problem for problem in problems)


def test_time_that_is_skipped_is_seen_by_whoever_asks() -> None:
    clock = Clock()
    before = clock.time()

    clock.skip(3600)

    assert 3600 <= clock.time() - before < 3700


def test_no_time_is_skipped_while_a_function_works() -> None:
    clock, skipped = Clock(), threading.Event()

    def skip() -> None:
        clock.skip(3600)
        skipped.set()

    with clock.working():
        threading.Thread(target=skip, daemon=True).start()
        assert not skipped.wait(0.05)
    assert skipped.wait(PATIENCE_SECONDS)
