"""The handler that plans a redrive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import aws_clients
from common.errors import InvalidInput, InvalidSetting
from common.instants import format_instant
from dlq_redrive.settings import redrive_settings
from dlq_redrive.table_keys import lock_key


def redriven(queue: str, hours_ago: float) -> None:
    """Note that a redrive of a queue ended so long ago."""
    at = format_instant(datetime.now(UTC) - timedelta(hours=hours_ago))
    aws_clients.dynamodb().update_item(
        TableName=redrive_settings().table,
        Key=lock_key(queue.rpartition(":")[2]),
        UpdateExpression="SET redrivenAt = :at",
        ExpressionAttributeValues={":at": {"S": at}},
    )


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
    redriven(dlq, hours_ago=1)
    assert redrive.plan()["queues"][0]["mode"] == "counted"
    redriven(dlq, hours_ago=28 * 24 + 1)
    assert redrive.plan()["queues"][0]["mode"] == "bulk"


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
    # One of three is SQS's own.
    assert (plan["mode"], plan["maxRedrives"], plan["maxMessagesPerSecond"]) == ("bulk", 2, 500)
    assert "destinationArn" not in plan
    other = redrive.queue("other")
    plan = redrive.plan_of(dlq, maxRedrives=1, maxMessagesPerSecond=7, destinationArn=other)
    assert (plan["maxRedrives"], plan["maxMessagesPerSecond"], plan["destinationArn"]) == (1, 7, other)


def test_a_look_hides_nothing(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.fill(dlq, 25)

    redrive.plan({"dryRun": True})

    received = []
    url = redrive.url(dlq)
    while batch := aws_clients.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += batch
    assert len(received) == 25


def test_a_dry_run_says_what_would_happen_and_changes_nothing(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.fill(dlq, 12)
    rule = redrive.queue("rule-dead", kind="rule")
    redrive.send(rule, "{}", {"TARGET_ARN": work})
    redrive.send(rule, "{}")

    planned = redrive.plan({"dryRun": True})

    assert planned["dryRun"]
    first, second = (one["forecast"] for one in planned["queues"])
    assert (first["lookedAt"], first["wouldRedrive"], first["redrives"]) == (12, 12, {"0": 12})
    assert (second["wouldRedrive"], second["wouldQuarantine"]) == (1, 1)
    assert second["reasons"] == {"TARGET_UNKNOWN": 1}
    assert (len(redrive.messages(dlq)), redrive.messages(work), redrive.quarantined()) == (12, [], [])


def test_a_queue_that_cannot_be_redriven_is_named_with_the_rule_when_all_are_asked(redrive: Any) -> None:
    redrive.send(redrive.queue("lonely", kind="sqs"), "one")
    redrive.send(redrive.queue("rule-dead", kind="rule"), "two")

    planned = redrive.plan()
    assert [one["name"] for one in planned["queues"]] == ["hub-test-rule-dead"]
    assert planned["refused"] == [
        {
            "name": "hub-test-lonely",
            "reason": "No queue of the stack names it as its dead-letter queue, and no message that was"
            " looked at says where it died: choose a 'destinationArn'.",
        }
    ]


def test_a_queue_that_cannot_be_redriven_is_refused_when_it_is_asked(redrive: Any) -> None:
    rule = redrive.queue("rule-dead", kind="rule")
    with pytest.raises(InvalidInput, match="which no queue feeds"):
        redrive.plan({"queueArn": rule, "mode": "bulk"})


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


def test_a_wrong_setting_is_refused_by_name(redrive: Any, set_variable: Callable[[str, str], None]) -> None:
    set_variable("MAX_REDRIVES", "many")
    with pytest.raises(InvalidSetting, match="MAX_REDRIVES"):
        redrive.plan()


def test_a_kind_that_nobody_knows_is_refused(redrive: Any) -> None:
    redrive.queue("odd", kind="pigeon")
    with pytest.raises(InvalidSetting, match="redrive-kind"):
        redrive.plan()
