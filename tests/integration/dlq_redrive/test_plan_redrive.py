"""The handler that plans a redrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from common import aws_clients
from common.errors import InvalidInput, InvalidSetting


def test_every_queue_of_the_stack_with_something_in_it_is_planned(redrive: Any) -> None:
    dlq, work = redrive.pair()
    rule = redrive.queue("rule-dead", kind="rule")
    redrive.queue("schedule-dead", kind="schedule")
    redrive.send(dlq, "one")
    redrive.send(rule, "two")
    redrive.send(rule, "three")

    planned = redrive.plan({"startedBy": "schedule"})

    assert [(one["name"], one["kind"], one["waiting"]) for one in planned["queues"]] == [
        ("hub-test-dead", "sqs", 1),
        ("hub-test-rule-dead", "rule", 2),
    ]
    assert planned["queues"][0]["sources"] == [work]
    assert (planned["waiting"], planned["empty"]) == (3, ["hub-test-schedule-dead"])
    assert (planned["startedBy"], planned["dryRun"]) == ("schedule", False)


def test_positions_are_redriven_without_the_others(redrive: Any) -> None:
    """What the rule and the schedule on positions ask for."""
    dlq, _ = redrive.pair()
    pipe = redrive.queue("pipe-dead", kind="pipe")
    for queue in (dlq, pipe):
        redrive.send(queue, "one")

    planned = redrive.plan({"kinds": ["stream", "pipe"], "maxRedrives": 20})

    assert [(one["name"], one["mode"], one["maxRedrives"]) for one in planned["queues"]] == [
        ("hub-test-pipe-dead", "counted", 20)
    ]
    assert (planned["empty"], planned["refused"], planned["failed"]) == ([], [], [])


def test_queues_of_another_stack_are_no_business_of_this_one(redrive: Any) -> None:
    other = redrive.queue("eu-dead", kind="sqs", tags={"redrive-stack": "hub-test-eu"})
    redrive.send(other, "one")

    assert redrive.plan()["queues"] == []
    with pytest.raises(InvalidInput, match="no dead-letter queue of this stack"):
        redrive.plan({"queueArn": other})


def test_a_queue_that_is_no_dead_letter_queue_is_refused(redrive: Any) -> None:
    _, work = redrive.pair()
    with pytest.raises(InvalidInput, match="no dead-letter queue of this stack"):
        redrive.plan({"queueArn": work})


def test_the_first_redrive_is_bulk_and_the_next_one_counted(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")

    assert redrive.plan()["queues"][0]["mode"] == "bulk"
    redrive.redriven(dlq, hours_ago=1)
    assert redrive.plan()["queues"][0]["mode"] == "counted"
    redrive.redriven(dlq, hours_ago=28 * 24 + 1)
    assert redrive.plan()["queues"][0]["mode"] == "bulk"


@pytest.mark.parametrize("asked", [{}, {"maxRedrives": 3}])
def test_a_redrive_by_sqs_counts_whether_or_not_it_was_seen_to_end(redrive: Any, asked: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.redriven(dlq, hours_ago=27 * 24, field="bulkAt")

    for _ in range(2):
        redrive.send(dlq, "one")
    (plan,) = redrive.plan({**asked, "dryRun": True})["queues"]
    assert (plan["mode"], plan["forecast"]["wouldRedrive"]) == ("counted", 2)
    assert plan["maxRedrives"] == 3  # what is taken off it is seen by whoever counts, when it counts


def test_a_redrive_that_was_stopped_counts_from_when_it_began(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.redriven(dlq, hours_ago=27 * 24, field="takenAt")

    (plan,) = redrive.plan()["queues"]
    assert (plan["mode"], plan["maxRedrives"]) == ("counted", 3)


def test_a_redrive_by_sqs_is_refused_while_what_lies_there_may_have_come_back(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.redriven(dlq, hours_ago=1)

    with pytest.raises(InvalidInput, match=r"last redriven at .* one by one until"):
        redrive.plan({"queueArn": dlq, "mode": "bulk"})
    assert [one["name"] for one in redrive.plan({"mode": "bulk"})["refused"]] == ["hub-test-dead"]


def test_where_one_redrive_is_allowed_it_is_a_counted_one(
    redrive: Any, set_variable: Callable[[str, str], None]
) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    set_variable("MAX_REDRIVES", "1")

    (plan,) = redrive.plan()["queues"]
    assert (plan["mode"], plan["maxRedrives"]) == ("counted", 1)


def test_a_queue_with_a_message_near_its_end_is_redriven_one_by_one(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.age(dlq, days=10)

    (plan,) = redrive.plan()["queues"]
    assert (plan["mode"], plan["oldestSeconds"] // 86_400) == ("counted", 10)


def test_a_plan_has_the_limits_of_the_request_or_of_the_settings(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")

    (plan,) = redrive.plan()["queues"]
    assert (plan["mode"], plan["maxRedrives"], plan["maxMessagesPerSecond"]) == ("bulk", 3, 500)
    assert "destinationArn" not in plan
    other = redrive.queue("other")
    plan = redrive.plan_of(dlq, maxRedrives=1, maxMessagesPerSecond=7, destinationArn=other)
    assert (plan["maxRedrives"], plan["maxMessagesPerSecond"], plan["destinationArn"]) == (1, 7, other)


def test_an_alarm_asks_for_its_queue(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    metric = {"metricStat": {"metric": {"dimensions": {"QueueName": "hub-test-dead"}}}}
    event = {
        "detail-type": "CloudWatch Alarm State Change",
        "detail": {"configuration": {"metrics": [metric]}},
    }

    planned = redrive.plan(event)
    assert ([one["name"] for one in planned["queues"]], planned["startedBy"]) == (["hub-test-dead"], "alarm")


def test_a_destination_that_is_not_there_is_refused_whatever_lies_in_the_queue(redrive: Any) -> None:
    dlq, work = redrive.pair()
    gone = f"{work}-too"
    with pytest.raises(InvalidInput, match="'destinationArn' is no queue of this stack"):
        redrive.plan({"queueArn": dlq, "destinationArn": gone})


def test_the_queue_of_another_stack_is_refused_as_a_destination(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    other = redrive.queue("other", tags={"redrive-stack": "hub"})
    with pytest.raises(InvalidInput, match="'destinationArn' is no queue of this stack"):
        redrive.plan({"queueArn": dlq, "destinationArn": other})


def test_a_destination_needs_no_tags(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    aws_clients.sqs().create_queue(QueueName="hub-test-spare")
    spare = dlq.replace("hub-test-dead", "hub-test-spare")
    assert redrive.plan_of(dlq, destinationArn=spare)["destinationArn"] == spare


def test_one_redrive_cannot_be_asked_for_where_sqs_has_made_it(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.redriven(dlq, hours_ago=1, field="bulkAt")

    with pytest.raises(InvalidInput, match="'maxRedrives' leaves none"):
        redrive.plan({"queueArn": dlq, "maxRedrives": 1})
    (refused,) = redrive.plan({"maxRedrives": 1})["refused"]
    assert refused["name"] == "hub-test-dead"


def test_fewer_redrives_in_a_deployment_leave_one_to_what_sqs_has_redriven(
    redrive: Any, set_variable: Callable[[str, str], None]
) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "one")
    redrive.redriven(dlq, hours_ago=1, field="bulkAt")
    set_variable("MAX_REDRIVES", "1")

    (plan,) = redrive.plan()["queues"]
    redrive.run_all(plan)
    assert (redrive.bodies(work), redrive.quarantined()) == (["one"], [])


def test_many_queues_are_looked_at_less_closely_and_the_last_ones_not_at_all(redrive: Any) -> None:
    for suffix in ("-a", "-b", "-c"):
        redrive.fill(redrive.pair(suffix)[0], 20)
    left = iter([60_000, 59_999, 19_999])
    redrive.context.get_remaining_time_in_millis = lambda: next(left)

    planned = redrive.plan({"dryRun": True})

    looked_at = {one["name"]: one["forecast"]["lookedAt"] for one in planned["queues"]}
    assert looked_at == {"hub-test-dead-a": 20, "hub-test-dead-b": 10}
    assert [(one["name"], one["error"]) for one in planned["failed"]] == [("hub-test-dead-c", "NotLookedAt")]


def test_a_wrong_setting_is_refused_by_name(redrive: Any, set_variable: Callable[[str, str], None]) -> None:
    set_variable("MAX_REDRIVES", "many")
    with pytest.raises(InvalidSetting, match="MAX_REDRIVES"):
        redrive.plan()
