"""The function that redrives one by one, killed between each two of its steps and called again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from common import aws_clients
from dlq_redrive import redrive_messages
from dlq_redrive.settings import redrive_settings
from local.testing.killed_functions import Death, KillableFunction, aws_calls_watched

STEPS_BACK = ["UpdateItem", "SendMessage", "DeleteMessage"]
STEPS_TO_QUARANTINE = ["PutObject", "DeleteMessage"]
MAX_REDRIVES = 3


@pytest.fixture
def killable(monkeypatch: pytest.MonkeyPatch) -> Iterator[KillableFunction]:
    function = KillableFunction(redrive_messages.lambda_handler)
    monkeypatch.setattr(redrive_messages, "lambda_handler", function)
    with aws_calls_watched():
        yield function


def die(redrive: Any, killable: KillableFunction, plan: Any, *deaths: Death, execution: str = "one") -> None:
    """Die these deaths in as many calls, each followed by the time for which messages are hidden."""
    killable.die(deaths)
    for _ in deaths:
        with pytest.raises(Exception, match="the function was killed"):
            redrive.run(plan, execution)
        redrive.show(plan["queueArn"])


def count_of(redrive: Any) -> int:
    (item,) = aws_clients.dynamodb().scan(TableName=redrive_settings().table)["Items"]
    return len(item["attempts"]["SS"])


def kept(redrive: Any) -> set[str]:
    """The bodies in quarantine."""
    return {letter["body"] for letter in redrive.quarantined()}


def test_the_steps_of_a_way_back_are_counted_sent_deleted(redrive: Any, killable: KillableFunction) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.run(redrive.plan_of(dlq))
    assert killable.writes == STEPS_BACK


@pytest.mark.parametrize("goes_on", ["one", "another"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS_BACK)
def test_a_killed_call_costs_a_message_one_of_its_tries_at_most_whichever_execution_goes_on(
    redrive: Any, killable: KillableFunction, step: str, after: bool, goes_on: str
) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one")
    plan = redrive.plan_of(dlq)

    die(redrive, killable, plan, Death(step, after))
    assert redrive.bodies(dlq) + redrive.bodies(work)
    redrive.run_all(plan, execution=goes_on)

    assert (redrive.bodies(dlq), set(redrive.bodies(work)), kept(redrive)) == ([], {"one"}, set())
    nothing_was_counted = (step, after) == ("UpdateItem", False)
    all_was_done = (step, after) == ("DeleteMessage", True)
    assert count_of(redrive) == (1 if nothing_was_counted or all_was_done else 2)
    assert len(redrive.bodies(work)) <= count_of(redrive)


def test_a_message_that_has_lost_its_last_try_is_kept_whole(redrive: Any, killable: KillableFunction) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one")
    plan = redrive.plan_of(dlq, maxRedrives=1)

    die(redrive, killable, plan, Death("UpdateItem", after=True))
    redrive.run_all(plan)
    assert (redrive.bodies(dlq), redrive.bodies(work), kept(redrive)) == ([], [], {"one"})


@pytest.mark.parametrize("suffix", ["", ".fifo"])
@pytest.mark.parametrize("executions", [1, 4])
def test_killed_between_each_two_steps_and_twice_all_messages_are_processed_or_kept(
    redrive: Any, killable: KillableFunction, suffix: str, executions: int
) -> None:
    dlq = redrive.queue(f"dead{suffix}", kind="sqs")
    work = redrive.queue(f"work{suffix}", dlq=dlq)
    for number in range(6):
        fifo = {"MessageGroupId": "ab"[number % 2], "MessageDeduplicationId": str(number)} if suffix else {}
        redrive.send(dlq, str(number), **fifo)
    plan = redrive.plan_of(dlq)

    for number, step in enumerate(STEPS_BACK * 2):
        for after in (False, True):
            if redrive.bodies(dlq):
                die(redrive, killable, plan, Death(step, after), execution=f"run {number % executions}")
    redrive.run_all(plan, execution="last")

    deliveries = Counter(redrive.bodies(work))
    assert redrive.bodies(dlq) == []
    assert set(deliveries) | kept(redrive) == {str(number) for number in range(6)}
    assert max(deliveries.values()) <= MAX_REDRIVES


@pytest.mark.parametrize("step", STEPS_BACK)
def test_a_call_that_is_always_killed_delivers_no_message_more_often_than_allowed(
    redrive: Any, killable: KillableFunction, step: str
) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one")
    plan = redrive.plan_of(dlq)

    for number in range(MAX_REDRIVES):
        die(redrive, killable, plan, Death(step, after=step != "DeleteMessage"), execution=f"run {number}")
        if not redrive.bodies(dlq):
            break
    redrive.run_all(plan, execution="last")

    assert redrive.bodies(dlq) == []
    assert len(redrive.bodies(work)) <= MAX_REDRIVES
    assert redrive.bodies(work) or kept(redrive) == {"one"}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS_TO_QUARANTINE)
def test_a_message_on_its_way_to_quarantine_is_in_one_place_at_least_and_in_one_object_at_most(
    redrive: Any, killable: KillableFunction, step: str, after: bool
) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "old")
    plan = redrive.plan_of(dlq)
    redrive.age(dlq, days=11)

    die(redrive, killable, plan, Death(step, after))
    assert redrive.bodies(dlq) or redrive.quarantined()
    redrive.run_all(plan)

    assert (redrive.bodies(dlq), redrive.bodies(work)) == ([], [])
    assert [letter["body"] for letter in redrive.quarantined()] == ["old"]


@pytest.mark.parametrize("after", [False, True])
def test_a_message_in_quarantine_is_told_of_before_its_call_can_be_killed(
    redrive: Any, killable: KillableFunction, after: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "old")
    plan = redrive.plan_of(dlq)
    redrive.age(dlq, days=11)
    capsys.readouterr()

    die(redrive, killable, plan, Death("DeleteMessage", after))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["DeadLettersQuarantined"] for line in lines if "_aws" in line] == [[1.0]]


def test_a_batch_that_was_sent_back_is_told_of_before_the_next_can_be_killed(
    redrive: Any, killable: KillableFunction, capsys: pytest.CaptureFixture[str]
) -> None:
    dlq, _ = redrive.pair()
    redrive.fill(dlq, 15)
    plan = redrive.plan_of(dlq)
    capsys.readouterr()

    die(redrive, killable, plan, Death(3 * 12))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [line["DeadLettersRedriven"] for line in lines if "_aws" in line]
    assert told[0] == [10.0]


@pytest.mark.parametrize("after", [False, True])
def test_a_copy_in_a_fifo_queue_is_dropped_by_its_deduplication_id(
    redrive: Any, killable: KillableFunction, after: bool
) -> None:
    dlq = redrive.queue("dead.fifo", kind="sqs")
    work = redrive.queue("work.fifo", dlq=dlq)
    for number in range(3):
        redrive.send(dlq, str(number), MessageGroupId="g", MessageDeduplicationId=str(number))
    plan = redrive.plan_of(dlq)

    die(redrive, killable, plan, Death("SendMessage", after), Death("DeleteMessage"))
    redrive.run_all(plan)
    assert redrive.bodies(work) == ["0", "1", "2"]


def test_a_message_of_a_fifo_queue_that_died_again_at_once_is_no_copy(redrive: Any) -> None:
    dlq = redrive.queue("dead.fifo", kind="sqs")
    work = redrive.queue("work.fifo", dlq=dlq)
    redrive.send(dlq, "one", MessageGroupId="g", MessageDeduplicationId="1")
    for execution in ("one", "two"):
        redrive.run_all(redrive.plan_of(dlq), execution)
        assert redrive.bodies(work) == ["one"]
        redrive.die(work, dlq)


def test_an_edited_letter_is_not_overwritten_by_another_try(redrive: Any, killable: KillableFunction) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "old")
    plan = redrive.plan_of(dlq)
    redrive.age(dlq, days=11)
    die(redrive, killable, plan, Death("DeleteMessage"))
    s3, bucket = aws_clients.s3(), redrive_settings().bucket
    (entry,) = s3.list_objects_v2(Bucket=bucket, Prefix="dead-letters/")["Contents"]
    s3.put_object(Bucket=bucket, Key=entry["Key"], Body=b'{"body": "mended"}')

    redrive.run_all(plan)
    assert redrive.quarantined() == [{"body": "mended"}]
