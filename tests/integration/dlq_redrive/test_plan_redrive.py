"""The handler that plans a redrive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from common import aws_clients
from common.errors import HubError, InvalidInput, InvalidSetting
from common.instants import format_instant
from dlq_redrive import queue_look
from dlq_redrive.errors import RedriveThrottled
from dlq_redrive.settings import redrive_settings
from dlq_redrive.table_keys import lock_key


def redriven(queue: str, hours_ago: float, field: str = "redrivenAt") -> None:
    """Note that a redrive of a queue ended so long ago, or that SQS began one: `bulkAt`."""
    at = format_instant(datetime.now(UTC) - timedelta(hours=hours_ago))
    aws_clients.dynamodb().update_item(
        TableName=redrive_settings().table,
        Key=lock_key(queue.rpartition(":")[2]),
        UpdateExpression="SET #field = :at",
        ExpressionAttributeNames={"#field": field},
        ExpressionAttributeValues={":at": {"S": at}},
    )


def broken(monkeypatch: pytest.MonkeyPatch, operation: str, queue: str, code: str) -> None:
    """Let SQS refuse an operation on one queue."""
    make_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: Any, name: str, request: Any) -> Any:
        if name == operation and request.get("QueueUrl", "").endswith(queue):
            raise ClientError({"Error": {"Code": code, "Message": "MARKED"}}, name)
        return make_call(client, name, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)


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


@pytest.mark.parametrize("asked", [{}, {"maxRedrives": 3}])
def test_a_redrive_by_sqs_counts_whether_or_not_it_was_seen_to_end(redrive: Any, asked: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redriven(dlq, hours_ago=27 * 24, field="bulkAt")

    (plan,) = redrive.plan(asked)["queues"]
    assert (plan["mode"], plan["maxRedrives"]) == ("counted", 2)


def test_a_redrive_by_sqs_is_refused_while_what_lies_there_may_have_come_back(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redriven(dlq, hours_ago=1)

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


def test_sqs_quarantines_nothing_and_a_dry_run_says_so(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.send(work, "in its source")
    redrive.perish(work)
    redrive.fill(dlq, 5)
    for _ in range(4):
        redrive.send(dlq, "alike")

    by_sqs, counted = (
        redrive.plan({"dryRun": True, "queueArn": dlq, **asked})["queues"][0]
        for asked in ({"destinationArn": redrive.queue("other")}, {"mode": "counted"})
    )
    assert (by_sqs["mode"], by_sqs["forecast"]["whyCounted"]) == ("bulk", None)
    told = [
        [one["forecast"][name] for name in ("wouldRedrive", "wouldQuarantine")] for one in (by_sqs, counted)
    ]
    assert told == [[10, 0], [9, 1]]


def test_a_dry_run_tells_of_what_a_move_task_stops_at(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.queue("work-too", dlq=dlq)
    redrive.send(work, "in its source")
    redrive.perish(work)
    redrive.send(dlq, "from nowhere")

    (plan,) = redrive.plan({"dryRun": True})["queues"]
    assert plan["mode"] == "bulk"
    assert (plan["forecast"]["wouldRedrive"], plan["forecast"]["reasons"]) == (1, {"SEVERAL_SOURCES": 1})


def test_a_dry_run_says_why_messages_are_counted(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redriven(dlq, hours_ago=1)

    (plan,) = redrive.plan({"dryRun": True})["queues"]
    assert plan["forecast"]["whyCounted"].startswith("The queue was last redriven at")


def test_a_queue_that_no_queue_names_is_named_with_the_rule(redrive: Any) -> None:
    lonely = redrive.queue("lonely", kind="sqs")
    assert redrive.plan()["empty"] == ["hub-test-lonely"]
    redrive.send(lonely, "one")
    redrive.send(redrive.queue("rule-dead", kind="rule"), "two")

    planned = redrive.plan()
    assert [one["name"] for one in planned["queues"]] == ["hub-test-rule-dead"]
    rule = (
        "No queue of the stack names it as its dead-letter queue, and no message that was looked at says"
        " where it died: choose a 'destinationArn'."
    )
    assert planned["refused"] == [{"name": "hub-test-lonely", "reason": rule}]
    with pytest.raises(InvalidInput, match="No queue of the stack names it"):
        redrive.plan({"queueArn": lonely})


def test_a_queue_that_no_queue_names_is_counted_where_a_message_says_where_it_died(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.send(work, "one")
    redrive.perish(work)
    aws_clients.sqs().set_queue_attributes(QueueUrl=redrive.url(work), Attributes={"RedrivePolicy": ""})

    (plan,) = redrive.plan()["queues"]
    assert (plan["name"], plan["mode"], plan["sources"]) == ("hub-test-dead", "counted", [])
    redrive.run_all(plan)
    assert (redrive.bodies(dlq), redrive.bodies(work)) == ([], ["one"])


def test_a_queue_that_no_queue_names_is_not_left_until_sqs_drops_its_messages(redrive: Any) -> None:
    lonely = redrive.queue("lonely", kind="sqs")
    redrive.send(lonely, "one")
    redrive.age(lonely, days=10)

    (plan,) = redrive.plan()["queues"]
    redrive.show(lonely)
    redrive.run_all(plan)
    assert [one["reason"] for one in redrive.quarantined()] == ["TOO_OLD"]


@pytest.mark.parametrize(
    ("operation", "queue", "code", "error"),
    [
        ("ListQueueTags", "rule-dead", "AccessDenied", "RedriveDenied"),
        ("GetQueueAttributes", "rule-dead", "RequestThrottled", "RedriveThrottled"),
        ("GetQueueAttributes", "rule-dead", "AWS.SimpleQueueService.NonExistentQueue", "QueueGone"),
        ("ReceiveMessage", "rule-dead", "KMS.AccessDeniedException", "KeyDenied"),
    ],
)
def test_a_queue_that_cannot_be_looked_at_keeps_no_other_from_its_redrive(
    redrive: Any, monkeypatch: pytest.MonkeyPatch, operation: str, queue: str, code: str, error: str
) -> None:
    dlq, _ = redrive.pair()
    rule = redrive.queue("rule-dead", kind="rule")
    redrive.send(dlq, "one")
    redrive.send(rule, "two")
    broken(monkeypatch, operation, queue, code)

    planned = redrive.plan()
    assert [one["name"] for one in planned["queues"]] == ["hub-test-dead"]
    ((name, told),) = [(one["name"], (one["error"], one["reason"])) for one in planned["failed"]]
    assert (name, told[0]) == ("hub-test-rule-dead", error)
    assert operation in told[1]
    assert "MARKED" not in told[1]
    assert redrive.plan({"queueArn": dlq})["failed"] == []
    with pytest.raises(HubError) as failed:
        redrive.plan({"queueArn": rule})
    assert type(failed.value).__name__ == error


def test_what_the_code_does_not_expect_of_a_queue_keeps_no_other_from_its_redrive(redrive: Any) -> None:
    for suffix in ("-a", "-b"):
        dlq, _ = redrive.pair(suffix)
        redrive.send(dlq, "one")
    aws_clients.dynamodb().put_item(
        TableName=redrive_settings().table,
        Item={**lock_key("hub-test-dead-a"), "redrivenAt": {"S": "yesterday"}},
    )

    planned = redrive.plan()
    assert [one["name"] for one in planned["queues"]] == ["hub-test-dead-b"]
    assert [(one["name"], one["error"]) for one in planned["failed"]] == [
        ("hub-test-dead-a", "UnexpectedError")
    ]


def test_without_its_source_a_queue_is_not_taken_for_one_that_no_queue_names(
    redrive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    broken(monkeypatch, "GetQueueAttributes", "work", "RequestThrottled")

    with pytest.raises(RedriveThrottled):
        redrive.plan({"queueArn": dlq})
    with pytest.raises(RedriveThrottled):
        redrive.plan()


def test_a_mode_that_a_queue_cannot_have_is_told_of_those_in_which_something_waits(redrive: Any) -> None:
    redrive.queue("rule-dead", kind="rule")
    redrive.send(redrive.queue("bus-dead", kind="bus"), "one")

    planned = redrive.plan({"mode": "bulk"})
    assert [one["name"] for one in planned["refused"]] == ["hub-test-bus-dead"]
    assert planned["empty"] == ["hub-test-rule-dead"]


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


def test_a_kind_that_nobody_knows_is_refused_and_keeps_no_other_from_its_redrive(redrive: Any) -> None:
    redrive.queue("odd", kind="pigeon")
    with pytest.raises(InvalidSetting, match="redrive-kind"):
        redrive.plan()
    redrive.send(redrive.queue("rule-dead", kind="rule"), "one")
    planned = redrive.plan()
    assert [one["name"] for one in planned["queues"]] == ["hub-test-rule-dead"]
    assert [(one["name"], one["error"]) for one in planned["failed"]] == [("hub-test-odd", "InvalidSetting")]


def test_a_look_keeps_no_more_than_its_memory_holds(redrive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dlq, _ = redrive.pair()
    redrive.fill(dlq, 40)
    monkeypatch.setattr(queue_look, "_MOST_BYTES", 20)

    (plan,) = redrive.plan({"dryRun": True})["queues"]
    assert (plan["waiting"], plan["forecast"]["lookedAt"]) == (40, 20)
