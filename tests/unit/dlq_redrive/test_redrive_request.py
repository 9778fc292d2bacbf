"""What a redrive may be asked for."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import InvalidInput
from dlq_redrive.arns import Home
from dlq_redrive.redrive_request import RedriveRequest, parse_redrive_request

HOME = Home("aws", "us-east-1", "123456789012")
QUEUE = "arn:aws:sqs:us-east-1:123456789012:hub-dead"
OTHER = "arn:aws:sqs:us-east-1:123456789012:hub-work"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:clean"


def alarm(dimensions: Any) -> dict[str, Any]:
    metric = {"metricStat": {"metric": {"namespace": "AWS/SQS", "dimensions": dimensions}}}
    return {
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "detail": {"alarmName": "hub-dead-letters", "configuration": {"metrics": [metric]}},
    }


def test_nothing_asked_is_every_queue() -> None:
    assert parse_redrive_request({}, HOME) == RedriveRequest()


def test_everything_asked_is_taken() -> None:
    request = {
        "queueArn": QUEUE,
        "mode": "counted",
        "destinationArn": OTHER,
        "maxMessagesPerSecond": 500,
        "maxRedrives": 1,
        "dryRun": True,
        "startedBy": "on call",
    }
    assert parse_redrive_request(request, HOME) == RedriveRequest(
        QUEUE, "counted", OTHER, 500, 1, True, "on call"
    )


def test_kinds_of_queues_may_be_asked_for_together() -> None:
    parsed = parse_redrive_request({"kinds": ["pipe", "stream"], "maxRedrives": 20}, HOME)
    assert parsed == RedriveRequest(kinds=("stream", "pipe"), max_redrives=20)


def test_a_function_may_be_the_destination() -> None:
    request = {"queueArn": QUEUE, "destinationArn": FUNCTION}
    assert parse_redrive_request(request, HOME).destination_arn == FUNCTION


def test_the_event_of_an_alarm_asks_for_the_queue_that_it_watches() -> None:
    parsed = parse_redrive_request(alarm({"QueueName": "hub-dead"}), HOME)
    assert parsed == RedriveRequest(queue_arn=QUEUE, started_by="alarm")


@pytest.mark.parametrize("dimensions", [{}, {"QueueName": 7}, {"FunctionName": "f"}, "text"])
def test_the_event_of_an_alarm_about_no_queue_is_refused(dimensions: Any) -> None:
    with pytest.raises(InvalidInput, match="names no queue"):
        parse_redrive_request(alarm(dimensions if dimensions != "text" else {}), HOME)


def test_the_event_of_an_alarm_without_metrics_is_refused() -> None:
    with pytest.raises(InvalidInput, match="names no queue"):
        parse_redrive_request({"detail-type": "CloudWatch Alarm State Change"}, HOME)


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        (None, "JSON object"),
        ({"queue": QUEUE}, "unknown field 'queue'"),
        ({"queueArn": 7}, "'queueArn' must be the ARN of a queue"),
        ({"queueArn": "hub-dead"}, "'queueArn' must be the ARN of a queue"),
        ({"queueArn": FUNCTION}, "'queueArn' must be the ARN of a queue"),
        ({"queueArn": QUEUE.replace("aws", "aws-cn", 1)}, "another partition than the hub, which is aws"),
        ({"queueArn": QUEUE.replace("east-1", "east-2")}, "another region than the hub, which is us-east-1"),
        ({"queueArn": QUEUE.replace("1234", "9999")}, "another account than the hub"),
        ({"kinds": "pipe"}, "'kinds' must be a list of any of sqs, rule"),
        ({"kinds": []}, "'kinds' must be a list"),
        ({"kinds": ["pipe", "queue"]}, "'kinds' must be a list"),
        ({"kinds": [["pipe"]]}, "'kinds' must be a list"),
        ({"queueArn": QUEUE, "kinds": ["pipe"]}, "choose one of both"),
        ({"mode": "fast"}, "'mode' must be 'bulk' or 'counted'"),
        ({"mode": ["bulk"]}, "'mode' must be 'bulk' or 'counted'"),
        ({"maxMessagesPerSecond": 0}, "'maxMessagesPerSecond' must be a whole number from 1 to 500"),
        ({"maxMessagesPerSecond": 501}, "'maxMessagesPerSecond'"),
        ({"maxRedrives": 21}, "'maxRedrives' must be a whole number from 1 to 20"),
        ({"maxRedrives": "3"}, "'maxRedrives'"),
        ({"dryRun": "yes"}, "'dryRun' must be true or false"),
        ({"startedBy": ""}, "'startedBy'"),
        ({"mode": "bulk", "maxRedrives": 3}, "choose one"),
        ({"destinationArn": OTHER}, "several queues cannot share a destination"),
        ({"queueArn": QUEUE, "destinationArn": QUEUE}, "is the dead-letter queue itself"),
        ({"queueArn": QUEUE, "destinationArn": f"{OTHER}.fifo"}, "FIFO"),
        ({"queueArn": f"{QUEUE}.fifo", "destinationArn": OTHER}, "FIFO"),
        ({"queueArn": QUEUE, "destinationArn": OTHER.replace("1234", "9999")}, "another account"),
        ({"queueArn": QUEUE, "destinationArn": "arn:aws:sns:us-east-1:123456789012:t"}, "'destinationArn'"),
    ],
)
def test_a_wrong_input_is_refused_with_the_rule_that_it_broke(request_: Any, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        parse_redrive_request(request_, HOME)


def test_what_was_sent_is_not_repeated_in_a_refusal() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_redrive_request({"queueArn": "arn:aws:sqs:us-east-1:1:SECRET"}, HOME)
    assert "SECRET" not in str(refusal.value)
