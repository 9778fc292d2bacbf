"""At most so many a second."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlq_redrive.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.integers(1, 500), st.lists(st.floats(0, 3), min_size=1, max_size=40))
def test_no_two_calls_are_closer_than_the_pace_allows(per_second: int, pauses: list[float]) -> None:
    clock = Clock()
    pace = Pace(per_second, lambda: clock.now, clock.sleep)
    times = []
    for pause in pauses:
        clock.now += pause
        pace.wait()
        times.append(clock.now)
    apart = [after - before for before, after in pairwise(times)]
    assert all(gap >= 1 / per_second - 1e-9 for gap in apart)


def test_the_first_call_does_not_wait() -> None:
    clock = Clock()
    Pace(1, lambda: clock.now, clock.sleep).wait()
    assert clock.now == 100.0


def test_a_full_second_takes_as_many_as_allowed() -> None:
    clock = Clock()
    pace = Pace(50, lambda: clock.now, clock.sleep)
    for _ in range(51):
        pace.wait()
    assert clock.now == pytest.approx(101.0)
