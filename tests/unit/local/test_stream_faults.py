"""Deliveries that come shuffled and more than once, when asked for."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from local.streams.faults import DeliveryFaults, FaultSettings, FaultsRefused
from local.testing.patience import PATIENCE_SECONDS

ELEMENTS = list(range(20))


def _asked(**asked: Any) -> DeliveryFaults:
    faults = DeliveryFaults()
    faults.ask(FaultSettings.read(asked))
    return faults


def test_nothing_happens_to_deliveries_unless_it_is_asked_for() -> None:
    faults, sent = DeliveryFaults(), []
    faults.deliver(lambda: sent.append("once"))
    assert faults.order(ELEMENTS) == ELEMENTS
    assert faults.chosen(ELEMENTS) == ([], [])
    assert not faults.repeats_a_batch()
    assert sent == ["once"]


def test_the_order_is_drawn_from_the_seed() -> None:
    orders = [_asked(shuffle=seed).order(ELEMENTS) for seed in (1, 1, 2)]
    assert sorted(orders[0]) == ELEMENTS
    assert orders[0] == orders[1] != orders[2] != ELEMENTS


def test_what_is_repeated_and_what_is_late_is_drawn_on_its_own() -> None:
    assert _asked(repeat=1).chosen(ELEMENTS) == (ELEMENTS, [])
    assert _asked(late=1).chosen(ELEMENTS) == ([], ELEMENTS)
    again, late = _asked(repeat=0.5, late=0.5).chosen(ELEMENTS)
    assert 0 < len(again) < 20
    assert 0 < len(late) < 20


def test_deliveries_of_a_moment_are_shuffled_together_and_none_is_lost() -> None:
    faults, sent, all_sent = _asked(shuffle=3), [], threading.Event()

    def send(element: int) -> None:
        sent.append(element)
        if len(sent) == len(ELEMENTS):
            all_sent.set()

    for element in ELEMENTS:
        faults.deliver(lambda element=element: send(element))  # type: ignore[misc]

    assert all_sent.wait(PATIENCE_SECONDS)
    assert sent != ELEMENTS
    assert sorted(sent) == ELEMENTS


def test_what_is_late_is_held_until_it_is_released_and_then_delivered_once() -> None:
    faults, sent = _asked(late=1), []
    faults.deliver(lambda: sent.append("event"))
    held = (list(sent), faults.held())

    assert held == (["event"], 1)
    assert (faults.release(), faults.release()) == (1, 0)
    assert sent == ["event"] * 2


def test_what_is_late_comes_by_itself_after_the_seconds_that_are_asked_for() -> None:
    faults, came = _asked(late=1, lateSeconds=0.01), threading.Event()
    faults.hold(came.set)
    assert came.wait(PATIENCE_SECONDS)
    assert faults.held() == 0


def test_a_reset_forgets_what_is_held() -> None:
    faults, sent = _asked(late=1, shuffle=1, repeat=1), []
    faults.hold(lambda: sent.append("late"))
    faults.reset()
    assert (faults.release(), sent, faults.settings) == (0, [], FaultSettings())


@pytest.mark.parametrize(
    "asked", [{"repeat": 1.5}, {"late": -1}, {"repeat": "often"}, {"shuffle": "yes"}, {"often": 1}]
)
def test_faults_that_there_are_not_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(FaultsRefused):
        FaultSettings.read(asked)
