"""SQS's own redrives: counted before they start, told from those of others, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.sqs.testing import latest_task
from local.testing.redrive_hub import Queue, RedriveHub
from local.testing.task_faults import answer_lost, refusal

START = "Start The Move Task"
REFUSED = refusal("Sqs.UnsupportedOperationException")


def begun_meanwhile(redrive: RedriveHub, dead: Queue, **more: Any) -> None:
    """Let somebody start a task after the redrive has looked for one, and before it starts its own."""
    redrive.bench.moves.pause()

    def too_late(call: Callable[[], Any]) -> Any:
        redrive.sqs.start_message_move_task(SourceArn=dead.arn, **more)
        return REFUSED(call)

    redrive.bench.call_faults.plan(START, too_late)


def test_a_redrive_by_sqs_is_written_down_before_it_is_asked_for(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    written = list[bool]()

    def look(call: Callable[[], Any]) -> Any:
        written.append("bulkAt" in redrive.lock(dead))
        return call()

    redrive.bench.call_faults.plan(START, look)

    assert redrive.run().path[-1] == "Redriven"
    assert written == [True]


def test_a_redrive_that_dies_before_it_knows_its_task_has_counted_it(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.call_faults.plan("Keep The Task's Handle", refusal("DynamoDB.ValidationException"))

    run = redrive.run()

    assert run.path[-1] == "Redrive Failed"
    assert "bulkAt" in redrive.lock(dead)


@pytest.mark.parametrize("rate", [{}, {"MaxNumberOfMessagesPerSecond": 7}])
def test_a_task_that_somebody_begins_meanwhile_is_left_alone_and_reported(
    redrive: RedriveHub, rate: Any
) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    begun_meanwhile(redrive, dead, **rate)

    run = redrive.run()

    theirs = latest_task(redrive.sqs, dead.arn)
    assert (run.path[-1], theirs["Status"]) == ("Already Running", "RUNNING")
    assert redrive.told(run)[0]["taskStartedAt"] == theirs["StartedTimestamp"]
    assert redrive.lock(dead).keys() == {"bulkAt"}


def test_a_task_to_another_queue_is_not_the_own_one(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    other = redrive.queue("other")
    begun_meanwhile(redrive, dead, DestinationArn=other.arn, MaxNumberOfMessagesPerSecond=500)

    assert redrive.run().path[-1] == "Already Running"


def test_a_task_of_the_own_destination_is_the_own_one(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    other = redrive.queue("other")
    redrive.bench.call_faults.plan(f"{START} Elsewhere", answer_lost(REFUSED))

    run = redrive.run({"queueArn": dead.arn, "destinationArn": other.arn, "mode": "bulk"})

    assert (run.path[-1], redrive.bodies(other)) == ("Redriven", ["a"])


def test_a_start_whose_task_has_ended_before_it_is_asked_for_is_found(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")

    def unanswered(call: Callable[[], Any]) -> Any:
        call()
        redrive.bench.moves.wait(dead.arn)
        return REFUSED(call)

    redrive.bench.call_faults.plan(START, unanswered)
    run = redrive.run()

    assert (run.path[-1], redrive.told(run)[0]["redriven"]) == ("Redriven", 2)


def test_an_old_task_is_not_taken_for_one_that_was_refused(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.sqs.start_message_move_task(SourceArn=dead.arn, MaxNumberOfMessagesPerSecond=500)
    redrive.bench.moves.wait(dead.arn)
    redrive.die(work)
    redrive.bench.call_faults.plan(START, REFUSED)

    run = redrive.run()

    assert (run.path[-1], redrive.bodies(dead)) == ("Redrive Failed", ["a"])
    assert "UnsupportedOperation" in redrive.told(run)[0]["error"]


def test_what_sqs_has_moved_counts_where_the_rest_is_redriven_one_by_one(redrive: RedriveHub) -> None:
    """SQS stops at the first message that does not say where it died."""
    dead, work = redrive.pair()
    redrive.die(work, *map(str, range(20)))
    redrive.send(dead, ["sent to the dead-letter queue itself"])
    consumer = redrive.consumer(work, takes=lambda body: body != "0")
    redrive.settled_by(consumer)

    run = redrive.run()

    [told] = redrive.told(run)
    assert "Redrive Messages" in run.path
    assert told["redriven"] + told["quarantined"] == 21
    assert (told["back"], told["outcome"]) == (1, "QUARANTINED" if told["quarantined"] else "REDRIVEN")


def test_a_redrive_that_failed_before_anything_moved_is_none(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.call_faults.plan("Look For A Move Task", refusal("Sqs.UnforeseenException"))

    assert redrive.run().path[-1] == "Redrive Failed"
    assert redrive.lock(dead) == {}
    assert redrive.run().path.count(START) == 1


def test_a_redrive_that_failed_after_something_moved_is_one(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.call_faults.plan("Look Again", refusal("Sqs.UnforeseenException"))

    assert redrive.run({"mode": "counted"}).path[-1] == "Redrive Failed"
    assert "redrivenAt" in redrive.lock(dead)


def test_the_redrive_of_somebody_else_is_none_of_this_stack(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.moves.pause()
    redrive.sqs.start_message_move_task(SourceArn=dead.arn)

    assert redrive.run().path[-1] == "Already Running"
    assert redrive.lock(dead) == {}
