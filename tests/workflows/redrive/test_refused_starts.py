"""A move task that SQS refuses to start has moved nothing, and costs no message one of its redrives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.testing.redrive_hub import RedriveHub
from local.testing.task_faults import answer_lost, refusal

START = "Start The Move Task"
REFUSED = refusal("Sqs.UnsupportedOperationException")


def refused_with(status: int) -> Any:
    """A refusal that AWS has no name for, as it is answered with this status."""

    def refuse(_call: Any) -> Any:
        words = {"Code": "InvalidParameterValue", "Message": "refused"}
        answer: Any = {"Error": words, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "Start")

    return refuse


@pytest.mark.parametrize("refused", [REFUSED, refused_with(400), refused_with(404)])
def test_a_start_that_was_refused_leaves_the_next_redrive_to_sqs(redrive: RedriveHub, refused: Any) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.call_faults.plan(START, refused)

    assert redrive.run().path[-1] == "Redrive Failed"
    assert redrive.lock(dead) == {}
    assert redrive.run().path.count(START) == 1


def test_a_start_that_was_refused_leaves_what_was_written_down_before(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.note_redrive(dead, since=timedelta(days=60), by_sqs=True)
    before = redrive.lock(dead)
    redrive.bench.call_faults.plan(START, REFUSED)

    assert redrive.run().path[-1] == "Redrive Failed"
    assert redrive.lock(dead) == before


@pytest.mark.parametrize("failure", [refused_with(500), refusal("Sqs.UnforeseenException")])
def test_a_start_of_which_nobody_knows_whether_it_was_heard_counts(redrive: RedriveHub, failure: Any) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.call_faults.plan(START, failure)

    assert redrive.run().path[-1] == "Redrive Failed"
    assert redrive.lock(dead).keys() == {"bulkAt"}


def test_a_start_whose_task_is_listed_late_is_not_taken_for_refused(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    redrive.bench.call_faults.plan(START, answer_lost(REFUSED))
    redrive.bench.call_faults.plan("Ask Whether It Was Started", lambda _call: {"Results": []})

    run = redrive.run()

    assert (run.path[-1], redrive.told(run)[0]["redriven"]) == ("Redriven", 2)
    assert redrive.lock(dead).keys() == {"bulkAt", "redrivenAt"}


def test_a_start_without_an_answer_is_found_by_its_task(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a", "b")
    redrive.bench.call_faults.plan(START, answer_lost(refusal("Sqs.UnforeseenException")))

    run = redrive.run()

    assert (run.path[-1], redrive.told(run)[0]["redriven"]) == ("Redriven", 2)
