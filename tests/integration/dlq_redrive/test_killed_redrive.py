"""The function that redrives one by one, killed between each two of its steps and called again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from common import aws_clients
from dlq_redrive import redrive_messages
from dlq_redrive.settings import redrive_settings
from local.testing.killed_functions import Death, KillableFunction, aws_calls_watched

STEPS_BACK = ["UpdateItem", "SendMessage", "DeleteMessage"]
STEPS_TO_QUARANTINE = ["PutObject", "DeleteMessage"]


@pytest.fixture
def killable(monkeypatch: pytest.MonkeyPatch) -> Iterator[KillableFunction]:
    function = KillableFunction(redrive_messages.lambda_handler)
    monkeypatch.setattr(redrive_messages, "lambda_handler", function)
    with aws_calls_watched():
        yield function


def die(redrive: Any, killable: KillableFunction, plan: Any, *deaths: Death, execution: str = "one") -> None:
    killable.die(deaths)
    for _ in deaths:
        with pytest.raises(Exception, match="the function was killed"):
            redrive.run(plan, execution)
        redrive.show(plan["queueArn"])


def count_of(redrive: Any) -> int:
    (item,) = aws_clients.dynamodb().scan(TableName=redrive_settings().table)["Items"]
    return int(item["redrives"]["N"])


def test_the_steps_of_a_way_back_are_counted_sent_deleted(redrive: Any, killable: KillableFunction) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.run(redrive.plan_of(dlq))
    assert killable.writes == STEPS_BACK


@pytest.mark.parametrize("goes_on", ["one", "another"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS_BACK)
def test_a_message_is_never_lost_and_counted_once_whichever_execution_goes_on(
    redrive: Any, killable: KillableFunction, step: str, after: bool, goes_on: str
) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one")
    plan = redrive.plan_of(dlq)

    die(redrive, killable, plan, Death(step, after))
    assert redrive.bodies(dlq) + redrive.bodies(work)
    redrive.run_all(plan, execution=goes_on)

    assert (redrive.bodies(dlq), set(redrive.bodies(work))) == ([], {"one"})
    assert count_of(redrive) == 1


def test_one_death_after_another_counts_once(redrive: Any, killable: KillableFunction) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one")
    plan = redrive.plan_of(dlq)

    deaths = [
        Death("UpdateItem"),
        Death("UpdateItem", after=True),
        Death("SendMessage"),
        Death("SendMessage"),
    ]
    die(redrive, killable, plan, *deaths)
    redrive.run_all(plan)
    assert (redrive.bodies(dlq), redrive.bodies(work), count_of(redrive)) == ([], ["one"], 1)


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


def test_the_last_redrive_that_was_counted_and_not_sent_is_sent(
    redrive: Any, killable: KillableFunction
) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one")
    plan = redrive.plan_of(dlq, maxRedrives=1)

    die(redrive, killable, plan, Death("UpdateItem", after=True))
    redrive.run_all(plan)
    assert (redrive.bodies(work), redrive.quarantined()) == (["one"], [])


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
