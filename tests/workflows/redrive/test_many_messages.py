"""Many messages, stops and deaths: every message is processed or in quarantine, and groups keep their order.

`REDRIVE_MESSAGES=5000 python -m pytest -o timeout=3600 tests/workflows/redrive/test_many_messages.py` takes
as many as that; a number that the whole suite has time for is the default.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from dlq_redrive import redrive_messages
from dlq_redrive.senders import Sender
from local.sqs.moto_queues import MotoQueues
from local.stepfunctions.workbench_run import Run
from local.testing.killed_functions import Death, KillableFunction, aws_calls_watched
from local.testing.redrive_hub import RedriveHub
from local.testing.redrive_queues import Consumer, Queue

MESSAGES = int(os.environ.get("REDRIVE_MESSAGES", "120"))
GROUPS = 7
SECONDS = 3600.0
BODIES = [f"{number:06}" for number in range(MESSAGES)]
FUNCTION = "RedriveMessagesFunction"
MODES = pytest.mark.parametrize("mode", ["bulk", "counted"])
QUEUES = pytest.mark.parametrize("suffix", ["", ".fifo"])


def dead_letters(redrive: RedriveHub, suffix: str) -> tuple[Queue, Queue, Consumer]:
    dead, work = redrive.pair(suffix)
    redrive.die(work, *BODIES, groups=GROUPS)
    assert len(redrive.bodies(dead)) == MESSAGES
    return dead, work, redrive.consumer(work)


def assert_all_accounted_for(redrive: RedriveHub, dead: Queue, work: Queue, consumer: Consumer) -> None:
    """Distinct processed + quarantined = sent; a group's messages were first processed in their order."""
    consumer.work()
    quarantined = [letter["body"] for letter in redrive.quarantined()]
    assert sorted({*consumer.processed, *quarantined}) == BODIES
    assert (redrive.bodies(dead), redrive.bodies(work)) == ([], [])
    for group in (found for name, found in consumer.groups.items() if name):
        assert list(dict.fromkeys(group)) == sorted(set(group))


@QUEUES
@MODES
def test_all_come_back(redrive: RedriveHub, suffix: str, mode: str) -> None:
    dead, work, consumer = dead_letters(redrive, suffix)

    run = redrive.bench.start({"mode": mode}).wait(SECONDS)

    assert run.path[-1] == "Redriven"
    assert redrive.told(run)[0]["redriven"] == MESSAGES
    assert_all_accounted_for(redrive, dead, work, consumer)
    # nothing was killed or stopped: each is in one place, once
    assert sorted([*consumer.processed, *(letter["body"] for letter in redrive.quarantined())]) == BODIES


@QUEUES
def test_a_bulk_redrive_stopped_half_way_is_taken_up(
    redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    dead, work, consumer = dead_letters(redrive, suffix)
    put, moved, half_way = MotoQueues.put, 0, threading.Event()

    def pausing_half_way(self: MotoQueues, *args: Any) -> None:
        nonlocal moved
        moved += 1
        if moved == MESSAGES // 2:
            redrive.bench.moves.pause()
            half_way.set()
        put(self, *args)

    monkeypatch.setattr(MotoQueues, "put", pausing_half_way)
    first = redrive.bench.start({"mode": "bulk"})
    assert half_way.wait(SECONDS)
    redrive.bench.wait_until(lambda: "Wait For The Move Task" in first.path, SECONDS)
    first.stop()

    second = redrive.start(until="Wait For The Move Task")
    redrive.bench.moves.resume()
    second.wait(SECONDS)

    assert second.path[-1] == "Redriven"
    assert_all_accounted_for(redrive, dead, work, consumer)
    assert len(consumer.processed) == MESSAGES


@QUEUES
def test_a_counted_redrive_stopped_half_way_is_started_again(
    redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Its function goes on to its end, as Lambda does, beside that of the next."""
    dead, work, consumer = dead_letters(redrive, suffix)
    runs: list[Run] = []
    prepare, sent, started_again = Sender.prepare, 0, threading.Event()

    def stopped_half_way(self: Sender, *args: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == MESSAGES // 2:
            runs[0].stop()
            runs.append(redrive.bench.start({"mode": "counted"}))
            started_again.set()
        return prepare(self, *args)

    monkeypatch.setattr(Sender, "prepare", stopped_half_way)
    runs.append(redrive.bench.start({"mode": "counted"}))
    assert started_again.wait(SECONDS)
    runs[1].wait(SECONDS)
    redrive.bench.wait_until(lambda: not redrive.bench.under_way(FUNCTION), SECONDS)
    while redrive.bodies(dead):
        redrive.bench.start({"mode": "counted"}).wait(SECONDS)

    assert runs[0].status == "ABORTED"
    assert_all_accounted_for(redrive, dead, work, consumer)
    assert len(consumer.processed) == MESSAGES


def deaths() -> Iterator[Death]:
    """Between each two steps of the first messages of a call, and of messages further on."""
    for message in (0, 1, 9, 10, 25):
        for step in range(3):
            yield Death(3 * message + step)
            yield Death(3 * message + step, after=True)


def each_once(killable: KillableFunction, deaths: Iterable[Death]) -> Iterator[Death]:
    """A call that has too little to do for the death that it was given leaves it to the next."""
    for number, death in enumerate(deaths):
        while killable.deaths == number:
            yield death


@QUEUES
def test_a_function_killed_between_each_two_of_its_steps_loses_nothing(
    redrive: RedriveHub, suffix: str
) -> None:
    dead, work, consumer = dead_letters(redrive, suffix)
    killable = KillableFunction(redrive_messages.lambda_handler)
    expected = list(deaths())
    killable.die(each_once(killable, expected))

    redrive.bench.functions[FUNCTION] = killable
    with aws_calls_watched():
        while redrive.bodies(dead):
            redrive.bench.start({"mode": "counted", "maxRedrives": 20}).wait(SECONDS)

    # the deaths of calls that have handled many need many
    assert killable.deaths >= min(len(expected), MESSAGES // 8)
    assert_all_accounted_for(redrive, dead, work, consumer)
    assert redrive.quarantined() == []
