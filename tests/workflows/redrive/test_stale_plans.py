"""Plans that are old when they are carried out: what another redrive did meanwhile counts all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from local.testing.redrive_hub import Consumer, Queue, RedriveHub
from local.testing.task_faults import answer_lost, refusal

PLANNING = "PlanRedriveFunction"
START = "Start The Move Task"
MOST = 3


def once_planned(redrive: RedriveHub, meanwhile: Callable[[], Any]) -> None:
    """Let something happen after the next plan was made, and before it is carried out."""
    handler = redrive.bench.functions[PLANNING]

    def late(event: Any, context: Any) -> Any:
        planned = handler(event, context)
        redrive.bench.functions[PLANNING] = handler
        meanwhile()
        return planned

    redrive.bench.functions[PLANNING] = late


def broken(redrive: RedriveHub, work: Queue) -> Consumer:
    """A consumer that fails on everything."""
    return redrive.consumer(work, takes=lambda _: False)


def redriven_by(redrive: RedriveHub, consumer: Consumer, request: Any = None) -> Any:
    """A redrive whose consumer works while it settles."""
    redrive.bench.call_faults.forget()
    redrive.settled_by(consumer)
    return redrive.run(request)


def redriven_until_nothing_lies_there(redrive: RedriveHub, consumer: Consumer, dead: Queue) -> None:
    for _ in range(3 * MOST):
        if not redrive.bodies(dead):
            return
        redriven_by(redrive, consumer)
    pytest.fail("it is redriven again and again")


def test_a_redrive_that_ended_after_the_plan_was_made_leaves_none_to_sqs(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    consumer = broken(redrive, work)

    def another() -> None:
        assert START in redriven_by(redrive, consumer).path
        redrive.settled_by(consumer)

    once_planned(redrive, another)
    run = redrive.run()

    assert START not in run.path
    redriven_until_nothing_lies_there(redrive, consumer, dead)
    assert max(Counter(consumer.refused).values()) <= MOST


def test_a_redrive_that_was_stopped_after_the_plan_was_made_leaves_none_to_sqs(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    consumer = broken(redrive, work)

    def another() -> None:
        redrive.start(until="Wait For The Move Task").stop()
        redrive.bench.moves.wait(dead.arn)
        consumer.work()

    once_planned(redrive, another)
    run = redrive.run()

    assert "Take The Lock Over" in run.path
    assert START not in run.path
    redriven_until_nothing_lies_there(redrive, consumer, dead)
    assert max(Counter(consumer.refused).values()) <= MOST


def test_a_redrive_one_by_one_after_the_plan_was_made_leaves_none_to_sqs(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    consumer = broken(redrive, work)

    def another() -> None:
        redriven_by(redrive, consumer, {"mode": "counted"})
        redrive.settled_by(consumer)

    once_planned(redrive, another)

    assert START not in redrive.run().path
    assert redrive.lock(dead).keys() == {"redrivenAt"}


def test_a_plan_to_count_takes_a_redrive_by_sqs_that_came_after_it_for_one(redrive: RedriveHub) -> None:
    """It would have each message sent back once more than allowed."""
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    consumer = broken(redrive, work)

    def another() -> None:
        assert START in redriven_by(redrive, consumer).path
        redrive.settled_by(consumer)

    once_planned(redrive, another)
    redrive.run({"mode": "counted"})

    redriven_until_nothing_lies_there(redrive, consumer, dead)
    assert max(Counter(consumer.refused).values()) <= MOST


def test_a_note_whose_answer_was_lost_is_written_again(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    lost = answer_lost(refusal("DynamoDB.SdkClientException"))
    redrive.bench.call_faults.plan("Note That SQS Redrives It", lost)

    assert redrive.run().path.count(START) == 1
