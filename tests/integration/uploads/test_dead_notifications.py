"""What the topic could not deliver comes back by a redrive that is told the function."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from dlq_redrive.arns import Home
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.ways_back import ToFunction, Ways
from local.testing.upload_notifications import notification, s3_record

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
HOME = Home("aws", "us-east-1", "123456789012")
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:hub-RecordUploadFunction-1A2B3C4D5E6F"
QUEUE = DeadLetterQueue(
    url="https://sqs.us-east-1.amazonaws.com/123456789012/hub-UploadNotificationsDeadLetterQueue-1A2B",
    arn="arn:aws:sqs:us-east-1:123456789012:hub-UploadNotificationsDeadLetterQueue-1A2B",
    kind="async",
)


def letter() -> DeadLetter:
    """A notification as it lies in the subscription's dead-letter queue."""
    body = notification({"Records": [s3_record()]})
    attributes = {"ErrorCode": {"DataType": "String", "StringValue": "ResourceNotFoundException"}}
    return DeadLetter("1", "handle", json.dumps(body), attributes, {"SentTimestamp": "1795251600000"})


def test_the_function_takes_what_a_redrive_gives_it(uploads: Any) -> None:
    way = Ways(QUEUE, HOME, "bus", FUNCTION).back(letter(), NOW)
    assert isinstance(way, ToFunction)
    assert way.function_arn == FUNCTION
    assert uploads.call(json.loads(way.payload)) == {"UPLOADED": 1}


def test_without_a_destination_it_goes_to_quarantine(uploads: Any) -> None:
    assert Ways(QUEUE, HOME, "bus").back(letter(), NOW) == Reason.FUNCTION_UNKNOWN
    assert uploads.items == []
