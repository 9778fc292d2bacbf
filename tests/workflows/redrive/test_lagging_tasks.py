"""What SQS tells late: that a task has begun, and how many messages it has moved."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from local.stepfunctions.workbench_faults import Fault
from local.testing.redrive_hub import Queue, RedriveHub

ASK = "Ask About The Move Task"


def moved_before(redrive: RedriveHub, dead: Queue, work: Queue) -> list[Any]:
    """What SQS lists after somebody has redriven a message."""
    redrive.die(work, "before")
    redrive.sqs.start_message_move_task(SourceArn=dead.arn)
    redrive.bench.moves.wait(dead.arn)
    redrive.consumer(work).work()
    listed: list[Any] = redrive.sqs.list_message_move_tasks(SourceArn=dead.arn)["Results"]
    return copy.deepcopy(listed)


def listing(results: list[Any]) -> Fault:
    """An answer that lists these tasks."""
    return lambda _call: {"Results": copy.deepcopy(results)}


def test_a_task_that_ended_before_is_not_taken_for_the_own_one(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    before = moved_before(redrive, dead, work)
    redrive.die(work, "a", "b")
    redrive.bench.call_faults.plan(ASK, *[listing(before)] * 3)

    run = redrive.run()

    assert run.path[-1] == "Redriven"
    assert redrive.told(run)[0]["redriven"] == 2
    assert run.path.count(ASK) >= 4


def test_a_task_that_is_not_listed_yet_is_waited_for(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a", "b")
    redrive.bench.call_faults.plan(ASK, *[listing([])] * 3)

    run = redrive.run()

    assert run.path[-1] == "Redriven"
    assert redrive.told(run)[0]["redriven"] == 2


@pytest.mark.parametrize("before", [False, True])
def test_a_task_that_is_never_listed_is_a_failure(redrive: RedriveHub, before: bool) -> None:
    dead, work = redrive.pair()
    listed = moved_before(redrive, dead, work) if before else []
    redrive.die(work, "a")
    redrive.bench.call_faults.plan(ASK, *[listing(listed)] * 20)

    run = redrive.run()

    assert (run.path[-1], redrive.told(run)[0]["error"]) == ("Redrive Failed", "MoveTaskStopped")
    waited = sum(delay.seconds for delay in run.delays if delay.state == "Wait For The Move Task")
    assert waited == 635


def counting_late(call: Callable[[], Any]) -> Any:
    """An answer that has not counted yet what was moved."""
    answer = call()
    for task in answer["Results"]:
        task["ApproximateNumberOfMessagesMoved"] = 0
    return answer


def test_what_sqs_counts_only_after_the_end_of_its_task_has_come_back_all_the_same(
    redrive: RedriveHub,
) -> None:
    _, work = redrive.pair()
    redrive.die(work, *"abc")
    redrive.settled_by(redrive.consumer(work, takes=lambda _: False))
    redrive.bench.call_faults.plan(ASK, *[counting_late] * 20)

    run = redrive.run()

    [told] = redrive.told(run)
    assert (run.path[-1], told["redriven"], told["back"]) == ("Returned To DLQ", 3, 3)


def test_what_sqs_counts_late_is_added_to_what_is_redriven_one_by_one(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, *map(str, range(20)))
    redrive.send(dead, ["sent to the dead-letter queue itself"])
    redrive.bench.call_faults.plan(ASK, *[counting_late] * 20)

    [told] = redrive.told(redrive.run())

    assert told["redriven"] + told["quarantined"] == 21


def test_the_task_of_somebody_else_adds_nothing(redrive: RedriveHub) -> None:
    redrive.bench.moves.numbers_follow_late = False
    dead, work = redrive.pair()
    redrive.die(work, *"ab")

    def another(call: Callable[[], Any]) -> Any:
        redrive.die(work)
        redrive.sqs.start_message_move_task(SourceArn=dead.arn)
        redrive.bench.moves.wait(dead.arn)
        return call()

    redrive.bench.call_faults.plan("Ask How Many Were Moved", another)

    assert redrive.told(redrive.run())[0]["redriven"] == 2
