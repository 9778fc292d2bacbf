"""Queues that a redrive of all leaves out, and what it says of them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from common import aws_clients
from common.errors import HubError, InvalidInput, InvalidSetting
from dlq_redrive.errors import RedriveThrottled
from dlq_redrive.settings import redrive_settings
from dlq_redrive.table_keys import lock_key


def broken(monkeypatch: pytest.MonkeyPatch, operation: str, queue: str, code: str) -> None:
    """Let SQS refuse an operation on one queue."""
    make_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: Any, name: str, request: Any) -> Any:
        if name == operation and request.get("QueueUrl", "").endswith(queue):
            raise ClientError({"Error": {"Code": code, "Message": "MARKED"}}, name)
        return make_call(client, name, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)


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


def test_a_queue_that_cannot_be_the_stacks_is_not_even_asked(
    redrive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    redrive.queue("eu-dead-1A2b", kind="sqs", tags={"redrive-stack": "hub-test-eu"})
    broken(monkeypatch, "ListQueueTags", "eu-dead-1A2b", "AccessDenied")
    assert redrive.plan()["failed"] == []


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


@pytest.mark.parametrize("request_of_alarm", [False, True])
def test_a_dead_letter_queue_without_its_tag_is_told(redrive: Any, request_of_alarm: bool) -> None:
    forgotten = redrive.queue("forgotten")
    redrive.queue("work", dlq=forgotten)
    redrive.send(forgotten, "one")

    asked = {"queueArn": forgotten, "startedBy": "alarm"} if request_of_alarm else {}
    with pytest.raises(
        InvalidSetting, match="names it as its dead-letter queue, but it has no tag redrive-kind"
    ):
        redrive.plan(asked)


def test_a_forgotten_tag_keeps_no_other_queue_from_its_redrive(redrive: Any) -> None:
    redrive.queue("work-x", dlq=redrive.queue("forgotten"))
    lonely = redrive.queue("lonely", kind="sqs")
    redrive.send(lonely, "one")
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")

    planned = redrive.plan()

    assert [one["name"] for one in planned["queues"]] == ["hub-test-dead"]
    told = [(one["name"], one["error"]) for one in planned["failed"]]
    assert told == [("hub-test-forgotten", "InvalidSetting")]
    assert [one["name"] for one in planned["refused"]] == ["hub-test-lonely"]


def test_a_queue_whose_tag_is_wrong_is_still_known_as_a_source(redrive: Any) -> None:
    dlq = redrive.queue("dead", kind="sqs")
    odd = redrive.queue("odd", kind="pigeon", dlq=dlq)
    redrive.send(dlq, "one")

    assert redrive.plan_of(dlq)["sources"] == [odd]


def test_a_kind_that_nobody_knows_is_refused_and_keeps_no_other_from_its_redrive(redrive: Any) -> None:
    redrive.queue("odd", kind="pigeon")
    with pytest.raises(InvalidSetting, match="redrive-kind"):
        redrive.plan()
    redrive.send(redrive.queue("rule-dead", kind="rule"), "one")
    planned = redrive.plan()
    assert [one["name"] for one in planned["queues"]] == ["hub-test-rule-dead"]
    assert [(one["name"], one["error"]) for one in planned["failed"]] == [("hub-test-odd", "InvalidSetting")]
