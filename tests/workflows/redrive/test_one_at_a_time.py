"""One redrive of a queue at a time: locks, their owners that ended, and move tasks of others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from local.sqs.testing import latest_task
from local.stepfunctions.workbench_run import Run
from local.testing.redrive_hub import RedriveHub
from local.testing.redrive_queues import Queue
from local.testing.task_faults import answer_lost, function_error, refusal

WAITING = "Wait For The Move Task"


def moving(redrive: RedriveHub) -> Run:
    """A redrive that waits for its move task, which is held until `moves.resume`."""
    redrive.bench.moves.pause()
    return redrive.start(until=WAITING)


def tasks_of(redrive: RedriveHub, dead: Queue) -> list[Any]:
    listed: list[Any] = redrive.sqs.list_message_move_tasks(SourceArn=dead.arn, MaxResults=10)["Results"]
    return listed


def test_of_two_redrives_of_a_queue_one_works_and_the_other_points_at_it(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    first = moving(redrive)

    second = redrive.run()
    redrive.bench.moves.resume()
    first.wait()

    assert (second.status, second.path[-1]) == ("SUCCEEDED", "Already Running")
    told = {"queue": dead.name, "outcome": "ALREADY_RUNNING", "execution": first.arn}
    assert redrive.told(second) == [told]
    assert first.path[-1] == "Redriven"
    assert len(tasks_of(redrive, dead)) == 1
    assert redrive.bodies(work) == ["a"]


@pytest.mark.parametrize("mode", ["bulk", "counted"])
def test_of_two_redrives_that_start_at_once_one_works(redrive: RedriveHub, mode: str) -> None:
    _, work = redrive.pair()
    bodies = [str(number) for number in range(30)]
    redrive.die(work, *bodies)
    plans = redrive.bench.functions["PlanRedriveFunction"]
    met: list[Any] = []

    def together(event: Any, context: Any) -> Any:
        planned = plans(event, context)
        met.append(event)
        redrive.bench.wait_until(lambda: len(met) == 2)
        return planned

    redrive.bench.functions["PlanRedriveFunction"] = together
    runs = [redrive.bench.start({"mode": mode}) for _ in range(2)]
    ends = sorted(run.wait().path[-1] for run in runs)

    # Whoever comes only after the other has ended finds the queue empty, which is a success as well.
    assert ends in (["Already Running", "Redriven"], ["Redriven", "Redriven"])
    assert sorted(redrive.bodies(work)) == sorted(bodies)


def test_a_move_task_that_somebody_else_started_is_left_alone_and_reported(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.moves.pause()
    redrive.sqs.start_message_move_task(SourceArn=dead.arn)
    theirs = latest_task(redrive.sqs, dead.arn)

    run = redrive.run()

    assert (run.status, run.path[-1]) == ("SUCCEEDED", "Already Running")
    [told] = redrive.told(run)
    assert (told["outcome"], told["taskStartedAt"]) == ("ALREADY_RUNNING", theirs["StartedTimestamp"])
    assert tasks_of(redrive, dead) == [theirs]
    assert "owner" not in redrive.lock(dead)


def test_a_counted_redrive_leaves_the_queue_to_a_move_task_as_well(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.moves.pause()
    redrive.sqs.start_message_move_task(SourceArn=dead.arn)

    run = redrive.run({"mode": "counted"})

    assert run.path[-1] == "Already Running"
    assert redrive.bench.calls("RedriveMessagesFunction") == []


def test_the_move_task_of_a_redrive_that_was_stopped_is_watched_by_the_next(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    stopped = moving(redrive).stop()

    second = redrive.start(until=WAITING)
    redrive.bench.moves.resume()
    second.wait()

    assert (stopped.status, second.path[-1]) == ("ABORTED", "Redriven")
    assert "Start The Move Task" not in second.path
    assert redrive.told(second)[0]["redriven"] == 1
    assert len(tasks_of(redrive, dead)) == 1


def test_a_redrive_that_comes_back_after_its_lock_was_taken_over_moves_nothing_twice(
    redrive: RedriveHub,
) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    first = moving(redrive).stop()
    second = redrive.start(until=WAITING)

    first.redrive()
    redrive.bench.moves.resume()
    first.wait()
    second.wait()

    assert second.path[-1] == "Redriven"
    assert redrive.bodies(work) == ["a"]


@pytest.mark.parametrize("name", ["nobody-knows-it"])
def test_the_lock_of_an_owner_that_nobody_knows_is_taken_over(redrive: RedriveHub, name: str) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.hold_lock(dead, redrive.execution_arn(name))

    run = redrive.run()

    assert "Take The Lock Over" in run.path
    assert run.path[-1] == "Redriven"
    assert "owner" not in redrive.lock(dead)


def test_the_lock_of_an_owner_that_failed_is_taken_over(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.call_faults.plan("Give The Lock Back", refusal("DynamoDB.ValidationException"))
    redrive.settled_by(redrive.consumer(work, takes=lambda _: False))
    left = redrive.run()
    assert redrive.lock(dead)["owner"] == left.arn

    run = redrive.run()

    assert "Take The Lock Over" in run.path
    assert run.path[-1] == "Redriven"


def test_a_lock_that_is_free_again_when_it_is_read_is_taken(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.hold_lock(dead, redrive.execution_arn("other"))

    def free(call: Any) -> Any:
        redrive.free_lock(dead)
        return call()

    redrive.bench.call_faults.plan("Read The Lock", free)
    run = redrive.run()

    assert run.path.count("Take The Lock") == 2
    assert run.path[-1] == "Redriven"


def test_of_two_that_take_a_lock_over_the_second_asks_about_the_first(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    first = moving(redrive)
    redrive.hold_lock(dead, redrive.execution_arn("nobody-knows-it"))

    def too_late(call: Any) -> Any:
        redrive.hold_lock(dead, first.arn)
        return call()

    redrive.bench.call_faults.plan("Take The Lock Over", too_late)
    second = redrive.run()
    redrive.bench.moves.resume()
    first.wait()

    assert second.path[-1] == "Already Running"
    assert redrive.told(second)[0]["execution"] == first.arn
    assert first.path[-1] == "Redriven"


def test_a_start_whose_answer_was_lost_is_found_by_asking(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.moves.pause()
    redrive.bench.call_faults.plan("Start The Move Task", answer_lost(refusal("Sqs.SdkClientException")))

    run = redrive.start(until=WAITING)
    redrive.bench.moves.resume()
    run.wait()

    assert run.path[-1] == "Redriven"
    assert len(tasks_of(redrive, dead)) == 1


def test_a_task_that_somebody_cancels_is_a_failure_that_says_so(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    run = moving(redrive)

    redrive.sqs.cancel_message_move_task(TaskHandle=latest_task(redrive.sqs, dead.arn)["TaskHandle"])
    redrive.bench.moves.resume()
    run.wait()

    assert (run.path[-1], run.error) == ("Redrive Failed", "RedriveFailed")
    assert "MoveTaskStopped" in (run.cause or "")
    assert len(redrive.bodies(dead)) + len(redrive.bodies(work)) == 2


def test_a_task_that_fails_is_a_failure_with_the_reason_of_sqs(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    run = moving(redrive)

    redrive.sqs.delete_queue(QueueUrl=work.url)
    redrive.bench.moves.resume()
    run.wait()

    assert run.path[-1] == "Redrive Failed"
    assert "MoveTaskFailed" in (run.cause or "")
    assert "NonExistentQueue" in (run.cause or "")


def test_a_counted_redrive_that_failed_is_taken_up_by_the_next(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    bodies = [str(number) for number in range(25)]
    redrive.die(work, *bodies)
    redrive.bench.call_faults.plan("Redrive Messages", function_error({"errorType": "AwsCallFailed"}))
    failed = redrive.run({"mode": "counted"})

    run = redrive.run({"mode": "counted"})

    assert (failed.path[-1], run.path[-1]) == ("Redrive Failed", "Redriven")
    assert sorted(redrive.bodies(work)) == sorted(bodies)


def test_an_owner_that_has_just_begun_may_not_be_known_yet_and_is_left_its_lock(redrive: RedriveHub) -> None:
    """DescribeExecution is eventually consistent."""
    dead, work = redrive.pair()
    redrive.die(work, "a")
    other = redrive.execution_arn("just-begun")
    redrive.hold_lock(dead, other, since=timedelta(minutes=59))

    run = redrive.run()

    assert run.path[-1] == "Already Running"
    assert redrive.told(run) == [{"queue": dead.name, "outcome": "ALREADY_RUNNING", "execution": other}]
    assert redrive.lock(dead)["owner"] == other


def test_what_a_dead_redrive_has_sent_back_counts_as_a_redrive(redrive: RedriveHub) -> None:
    """Also when the one that takes its lock over fails before it has moved anything."""
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.hold_lock(dead, redrive.execution_arn("dead"))
    redrive.bench.call_faults.plan("Redrive Messages", refusal("Lambda.ResourceNotFoundException"))

    failed = redrive.run()
    run = redrive.run()

    assert (failed.path[-1], run.path[-1]) == ("Redrive Failed", "Redriven")
    assert "Start The Move Task" not in run.path
