"""Several calls are under way at once, and their answers stand in the order of what was given."""

from __future__ import annotations

from threading import Barrier, Event

import pytest

from change_stream.parallel_calls import MOST_AT_ONCE, in_parallel
from local.testing.patience import PATIENCE_SECONDS


@pytest.mark.parametrize("number", [0, 1, 2, 7, 8, 9, 100])
def test_answers_stand_in_the_order_of_what_was_given(number: int) -> None:
    assert in_parallel(lambda one: one * one, range(number)) == [one * one for one in range(number)]


def test_as_many_calls_as_there_may_be_are_under_way_at_once() -> None:
    together = Barrier(MOST_AT_ONCE, timeout=PATIENCE_SECONDS)
    assert sorted(in_parallel(lambda _: together.wait(), range(MOST_AT_ONCE))) == list(range(MOST_AT_ONCE))


def test_what_a_call_raises_is_raised_when_none_is_under_way_any_more() -> None:
    failed, ended = Event(), []

    def call(one: int) -> None:
        if one == 0:
            failed.set()
            raise TimeoutError("of S3")
        assert failed.wait(PATIENCE_SECONDS)
        ended.append(one)

    with pytest.raises(TimeoutError, match="of S3"):
        in_parallel(call, range(5))
    assert sorted(ended) == [1, 2, 3, 4]
