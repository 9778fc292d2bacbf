"""Calls of the counting function that die: what they had in hand is waited for, and never taken for gone."""

from __future__ import annotations

from typing import Any

import pytest

from common import aws_clients
from dlq_redrive.counted_redrive import VISIBILITY_SECONDS
from local.testing.redrive_hub import COUNTING, RedriveHub
from local.testing.task_faults import function_error

COUNTED = {"mode": "counted"}


def dying(redrive: RedriveHub, times: int, error: str = "Runtime.ExitError") -> list[int]:
    """Let the next calls take what they can get, and die; how much each had in hand."""
    handler, had = redrive.bench.functions[COUNTING], list[int]()

    def die(event: Any, context: Any) -> Any:
        if len(had) >= times:
            return handler(event, context)
        url = event["queue"]["queueUrl"]
        got = aws_clients.sqs().receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=VISIBILITY_SECONDS
        )
        had.append(len(got.get("Messages", [])))
        raise type(error, (Exception,), {})("the function was killed")

    redrive.bench.functions[COUNTING] = die
    return had


@pytest.mark.parametrize("error", ["Sandbox.Timedout", "Runtime.ExitError"])
def test_what_a_dead_call_had_in_hand_is_redriven_by_the_next(redrive: RedriveHub, error: str) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a", "b", "c")
    had = dying(redrive, 1, error)

    run = redrive.run(COUNTED)

    assert (had, run.path[-1]) == ([3], "Redriven")
    assert redrive.told(run)[0]["redriven"] == 3
    assert sorted(redrive.bodies(work)) == ["a", "b", "c"]


def test_the_next_call_comes_when_everything_can_be_received_again(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    dying(redrive, 2)

    run = redrive.run(COUNTED)

    waits = [delay for delay in run.delays if delay.state == "Wait For What The Call Has Hidden"]
    assert [delay.seconds for delay in waits] == [VISIBILITY_SECONDS] * 2
    assert not [delay for delay in run.delays if delay.state == "Redrive Messages"]


def test_calls_that_die_again_and_again_fail_the_queue_and_lose_nothing(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    had = dying(redrive, 100)

    run = redrive.run(COUNTED)

    assert (len(had), run.path[-1]) == (9, "Redrive Failed")
    assert "Runtime.ExitError" in redrive.told(run)[0]["error"]
    assert sorted(redrive.bodies(dead)) == ["a", "b"]
    assert "redrivenAt" in redrive.lock(dead), "what died may have sent something back"


def test_a_call_that_answers_forgives_those_that_died_before(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    handler, calls = redrive.bench.functions[COUNTING], list[int]()

    def answering_each_fifth(event: Any, context: Any) -> Any:
        calls.append(1)
        if len(calls) % 5:
            raise type("Runtime.ExitError", (Exception,), {})("the function was killed")
        return {**handler(event, context), "more": len(calls) < 15}

    redrive.bench.functions[COUNTING] = answering_each_fifth

    assert redrive.run(COUNTED).path[-1] == "Redriven"
    assert len(calls) == 15


def test_an_error_that_may_have_sent_something_is_not_tried_again_at_once(redrive: RedriveHub) -> None:
    """Each try would cost the messages one of theirs."""
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.call_faults.plan("Redrive Messages", function_error({"errorType": "AwsCallFailed"}))

    run = redrive.run(COUNTED)

    assert (run.path[-1], run.path.count("Redrive Messages")) == ("Redrive Failed", 1)
    assert redrive.bodies(dead) == ["a"]


def test_a_redrive_that_takes_over_waits_for_what_the_dead_one_had_in_hand(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    redrive.hold_lock(dead, redrive.execution_arn("dead"))
    redrive.sqs.receive_message(
        QueueUrl=dead.url, MaxNumberOfMessages=10, VisibilityTimeout=VISIBILITY_SECONDS
    )

    run = redrive.run(COUNTED)

    assert run.path[-1] == "Redriven"
    assert redrive.told(run)[0]["redriven"] == 2


def test_what_somebody_else_hides_is_not_called_returned(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    redrive.sqs.receive_message(QueueUrl=dead.url, MaxNumberOfMessages=10, VisibilityTimeout=43_200)

    run = redrive.run(COUNTED)

    assert (run.status, run.path[-1]) == ("SUCCEEDED", "Nothing Redriven")
    [told] = redrive.told(run)
    assert (told["outcome"], told["redriven"], told["back"]) == ("NOTHING_REDRIVEN", 0, 2)


def test_a_redrive_whose_lock_was_lost_touches_nothing_and_leaves_the_lock(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    handler, other = redrive.bench.functions[COUNTING], redrive.execution_arn("other")

    def too_late(event: Any, context: Any) -> Any:
        redrive.hold_lock(dead, other)
        return handler(event, context)

    redrive.bench.functions[COUNTING] = too_late

    run = redrive.run(COUNTED)

    assert (run.path[-1], redrive.told(run)[0]["error"]) == ("Redrive Failed", "LockLost")
    assert (redrive.lock(dead)["owner"], redrive.bodies(dead)) == (other, ["a"])


@pytest.mark.parametrize("error", ["UnexpectedError", "Runtime.ExitError"])
def test_a_call_that_failed_half_way_is_a_redrive(redrive: RedriveHub, error: str) -> None:
    """What it had sent back it could not tell; the next redrive is not left to SQS."""
    dead, work = redrive.pair()
    redrive.die(work, *"abc")
    handler = redrive.bench.functions[COUNTING]

    def fail(event: Any, context: Any) -> Any:
        handler(event, context)
        raise type(error, (Exception,), {})("after everything was sent")

    redrive.bench.functions[COUNTING] = fail

    assert redrive.run(COUNTED).path[-1] == "Redrive Failed"
    assert redrive.lock(dead).keys() == {"redrivenAt"}
    redrive.die(work)
    assert "Start The Move Task" not in redrive.run().path


@pytest.mark.parametrize("kind", ["stream", "pipe"])
def test_what_may_still_be_with_a_reader_is_waited_for_as_long_as_it_may_take(
    redrive: RedriveHub, kind: str
) -> None:
    redrive.send(redrive.queue("dead", kind=kind), ["a"])
    redrive.bench.call_faults.plan("Redrive Messages", function_error({"errorType": "Runtime.ExitError"}))

    waits = [delay for delay in redrive.run().delays if delay.state.startswith("Wait For What")]

    assert [delay.seconds for delay in waits] == [900]


def test_a_failure_is_told_without_its_stack_trace(redrive: RedriveHub) -> None:
    """Those of many queues would be more than a cause may hold."""
    _, work = redrive.pair()
    redrive.die(work, "a")
    defect = {"errorMessage": "A defect.", "errorType": "UnexpectedError", "stackTrace": ["x" * 30_000]}
    redrive.bench.call_faults.plan("Redrive Messages", function_error(defect))

    run = redrive.run(COUNTED)

    [told] = redrive.told(run)
    assert (told["error"], "A defect." in told["cause"]) == ("UnexpectedError", True)
    assert len(run.cause or "") < 1000
