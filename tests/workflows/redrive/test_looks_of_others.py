"""Whoever looks at a queue hides what lies there from a redrive: it looks once more before it ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dlq_redrive import queue_calls, queue_look
from local.testing.redrive_hub import COUNTING, RedriveHub

COUNTED = {"mode": "counted"}
SECONDS = 60.0


def test_what_somebody_looked_at_is_redriven_all_the_same(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, *"abc")
    redrive.bench.functions[COUNTING] = redrive.looked_at(dead, redrive.bench.functions[COUNTING])

    run = redrive.run(COUNTED)

    assert (run.path[-1], redrive.told(run)[0]["redriven"]) == ("Redriven", 3)
    assert (redrive.bodies(dead), sorted(redrive.bodies(work))) == ([], ["a", "b", "c"])
    assert run.path.count("Let It Settle") == 2


def test_of_two_that_start_together_one_redrives_all(
    redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one looks at the queue while the first one receives from it."""
    dead, work = redrive.pair()
    redrive.die(work, *"abc")
    handler, release = redrive.bench.functions[COUNTING], queue_calls.release
    looked, received = threading.Event(), threading.Event()
    looks = iter([True])

    def release_late(*args: Any) -> None:
        if not next(looks, False):
            looked.set()
            received.wait(SECONDS)
        release(*args)

    def once_looked_at(event: Any, context: Any) -> Any:
        looked.wait(SECONDS)
        try:
            return handler(event, context)
        finally:
            received.set()

    monkeypatch.setattr(queue_look, "release", release_late)
    redrive.bench.functions[COUNTING] = once_looked_at
    first = redrive.start(COUNTED, until="Redrive Messages")
    second = redrive.bench.start(COUNTED).wait(SECONDS)

    assert {first.wait(SECONDS).path[-1], second.path[-1]} == {"Redriven", "Already Running"}
    assert (redrive.bodies(dead), sorted(redrive.bodies(work))) == ([], ["a", "b", "c"])


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_what_died_again_is_recognised_and_left_in_sight(redrive: RedriveHub, suffix: str) -> None:
    dead, work = redrive.pair(suffix)
    redrive.die(work, *"abc")
    consumer = redrive.consumer(work, takes=lambda _: False)
    redrive.settled_by(consumer)

    run = redrive.run(COUNTED)

    assert (run.path[-1], len(consumer.refused)) == ("Returned To DLQ", 3)
    assert run.path.count("Let It Settle") == 1
    assert sorted(redrive.bodies(dead)) == ["a", "b", "c"]
    assert len(redrive.sqs.receive_message(QueueUrl=dead.url, MaxNumberOfMessages=10)["Messages"]) == 3


def test_what_came_only_while_it_settled_is_redriven_once_more_and_no_oftener(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")

    def more(body: str) -> Any:
        def arrive(call: Any) -> Any:
            redrive.consumer(work).work()
            redrive.die(work, body)
            return call()

        return arrive

    redrive.bench.call_faults.plan("Look Again", more("b"), more("c"))

    run = redrive.run(COUNTED)

    assert redrive.told(run)[0]["redriven"] == 2
    assert redrive.bodies(dead) == ["c"]
