"""The handler that redrives messages one by one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from common import aws_clients
from dlq_redrive.dead_letter import REDRIVE_ATTRIBUTE
from dlq_redrive.settings import redrive_settings


def outcomes(result: Any) -> tuple[int, int, int, int]:
    return result["redriven"], result["quarantined"], result["returned"], result["failed"]


def test_messages_go_back_with_their_attributes_and_a_mark(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one", {"colour": "blue"})

    result = redrive.run_all(redrive.plan_of(dlq))

    assert (outcomes(result), result["received"], result["emptied"]) == ((1, 0, 0, 0), 1, True)
    ((message,),) = [redrive.messages(work)]
    assert message.message_attributes["colour"]["StringValue"] == "blue"
    assert message.message_attributes[REDRIVE_ATTRIBUTE]["StringValue"] == "1"
    assert redrive.messages(dlq) == []


def test_many_messages_go_back_each_once(redrive: Any) -> None:
    dlq, work = redrive.pair()
    sent = {f"message {number}" for number in range(35)}
    for body in sent:
        redrive.send(dlq, body)

    assert outcomes(redrive.run_all(redrive.plan_of(dlq))) == (35, 0, 0, 0)
    assert (len(redrive.bodies(work)), set(redrive.bodies(work))) == (35, sent)


def test_nothing_waiting_is_nothing_done(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    plan = redrive.plan_of(dlq)
    redrive.run_all(plan)

    result = redrive.run_all(plan)
    assert (result["received"], result["emptied"], result["more"]) == (0, True, False)


def test_what_died_again_is_not_sent_twice_by_the_same_execution(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "poison")
    plan = redrive.plan_of(dlq)
    totals = redrive.run(plan)
    redrive.die(work, dlq)

    again = redrive.run(plan, totals=totals)

    assert (outcomes(again), again["more"]) == ((1, 0, 1, 0), False)
    assert (redrive.bodies(dlq), redrive.bodies(work)) == (["poison"], [])


def test_what_died_again_can_be_received_at_once_when_nothing_else_is_left(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "poison")
    plan = redrive.plan_of(dlq)
    redrive.run(plan)
    redrive.die(work, dlq)
    redrive.run(plan)

    next_run = redrive.run(plan, execution="two")

    assert outcomes(next_run) == (1, 0, 0, 0)


def test_a_message_is_sent_back_as_often_as_allowed_over_all_runs_and_then_quarantined_whole(
    redrive: Any,
) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "poison", {"colour": "blue"})
    delivered = 0
    for number in range(6):
        redrive.run_all(redrive.plan_of(dlq), execution=f"run {number}") if redrive.messages(dlq) else None
        delivered += len(redrive.messages(work))
        redrive.die(work, dlq)

    assert (delivered, redrive.messages(dlq), redrive.messages(work)) == (3, [], [])
    (letter,) = redrive.quarantined()
    assert (letter["reason"], letter["redrives"], letter["body"]) == ("REDRIVEN_TOO_OFTEN", 3, "poison")
    assert letter["messageAttributes"]["colour"] == {"DataType": "String", "StringValue": "blue"}
    assert [entry["execution"] for entry in letter["history"]] == ["run 0", "run 1", "run 2"]
    assert letter["firstFailedAt"] <= letter["lastFailedAt"] <= letter["quarantinedAt"]


def test_poison_among_good_ones_is_quarantined_alone(redrive: Any) -> None:
    dlq, work = redrive.pair()
    for number in range(20):
        redrive.send(dlq, f"good {number}")
    redrive.send(dlq, "poison")
    processed: set[str] = set()
    for number in range(4):
        redrive.run_all(redrive.plan_of(dlq), execution=f"run {number}")
        for message in redrive.messages(work):
            if message.body == "poison":
                redrive.send_again(message, dlq)
        processed |= set(redrive.consume(work)) - {"poison"}

    assert len(processed) == 20
    assert [letter["body"] for letter in redrive.quarantined()] == ["poison"]


def test_identical_messages_share_a_count(redrive: Any) -> None:
    """Three of them are sent back, as one would be three times; the rest is kept."""
    dlq, work = redrive.pair()
    for _ in range(5):
        redrive.send(dlq, "same")

    result = redrive.run_all(redrive.plan_of(dlq))

    assert outcomes(result) == (3, 2, 0, 0)
    assert (redrive.bodies(work), len(redrive.quarantined())) == (["same"] * 3, 2)


def test_a_message_near_its_end_goes_to_quarantine(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "old")
    plan = redrive.plan_of(dlq)
    redrive.age(dlq, days=10)
    redrive.send(dlq, "young")

    result = redrive.run_all(plan)

    assert (outcomes(result), result["reasons"]) == ((1, 1, 0, 0), {"TOO_OLD": 1})
    assert redrive.bodies(work) == ["young"]
    assert [letter["body"] for letter in redrive.quarantined()] == ["old"]


def test_a_message_with_ten_attributes_keeps_them_and_is_not_sent_twice_either(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "full", {f"a{number}": "1" for number in range(10)})
    plan = redrive.plan_of(dlq)
    totals = redrive.run(plan)
    ((message,),) = [redrive.messages(work)]
    assert set(message.message_attributes) == {f"a{number}" for number in range(10)}
    redrive.die(work, dlq)

    assert outcomes(redrive.run(plan, totals=totals)) == (1, 0, 1, 0)


def test_a_message_is_sent_where_it_was_asked_to(redrive: Any) -> None:
    dlq, work = redrive.pair()
    other = redrive.queue("other")
    redrive.send(dlq, "one")

    redrive.run_all(redrive.plan_of(dlq, destinationArn=other))
    assert (redrive.bodies(other), redrive.bodies(work)) == (["one"], [])


def test_a_message_that_does_not_say_which_of_two_sources_it_died_in_is_quarantined(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.queue("second", dlq=dlq)
    redrive.send(dlq, "whose")

    result = redrive.run_all(redrive.plan_of(dlq))
    assert (result["reasons"], redrive.bodies(work)) == ({"SEVERAL_SOURCES": 1}, [])


def test_the_order_of_a_group_is_kept(redrive: Any) -> None:
    dlq = redrive.queue("dead.fifo", kind="sqs")
    work = redrive.queue("work.fifo", dlq=dlq)
    for number in range(24):
        group = "ab"[number % 2]
        redrive.send(dlq, str(number), MessageGroupId=group, MessageDeduplicationId=str(number))

    assert outcomes(redrive.run_all(redrive.plan_of(dlq))) == (24, 0, 0, 0)
    for first, group in enumerate("ab"):
        bodies = [message.body for message in redrive.messages(work) if message.group_id == group]
        assert bodies == [str(number) for number in range(first, 24, 2)]


def test_a_call_stops_before_its_time_ends_and_the_next_goes_on(redrive: Any) -> None:
    dlq, work = redrive.pair()
    for number in range(15):
        redrive.send(dlq, str(number))
    plan = redrive.plan_of(dlq)
    left = iter([60_000] * 8 + [0] * 100)
    short = SimpleNamespace(**vars(redrive.context))
    short.get_remaining_time_in_millis = lambda: next(left)

    totals = type(redrive)(short).run(plan)
    assert 0 < totals["redriven"] < 15
    assert totals["more"]
    assert len(redrive.messages(dlq)) + len(redrive.messages(work)) == 15
    totals = redrive.run(plan, totals=totals)
    assert (totals["redriven"], len(set(redrive.bodies(work)))) == (15, 15)


def test_the_count_of_a_message_expires(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.run_all(redrive.plan_of(dlq))

    (item,) = aws_clients.dynamodb().scan(TableName=redrive_settings().table)["Items"]
    assert int(item["expiresAt"]["N"]) > 2_592_000
    assert item["pk"]["S"] == "REDRIVE#hub-test-dead"
    assert item["sk"]["S"].startswith("MESSAGE#")


def test_a_call_goes_on_counting_from_the_one_before(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")

    before = {"redriven": 7, "quarantined": 2, "reasons": {"TOO_OLD": 2}, "failures": {"TargetGone": 1}}
    result = redrive.run(redrive.plan_of(dlq), totals=before)
    assert (result["redriven"], result["quarantined"], result["received"]) == (8, 2, 1)
    assert (result["reasons"], result["failures"]) == ({"TOO_OLD": 2}, {"TargetGone": 1})


def test_a_lower_limit_is_honoured(redrive: Any, set_variable: Callable[[str, str], None]) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one")
    redrive.run_all(redrive.plan_of(dlq, maxRedrives=1), execution="first")
    redrive.die(work, dlq)

    assert outcomes(redrive.run_all(redrive.plan_of(dlq, maxRedrives=1), execution="second")) == (0, 1, 0, 0)
