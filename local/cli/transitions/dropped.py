"""Items of the jobs table whose transitions nobody has worked on, and a way to detect these again.

SQS drops a message four days after it was sent. The item is still there then: an upload that was never worked
on is UPLOADED. The function is given a change in which the item appears as it is now. Its place in the stream
is made of what the item says, so that the same item has the same transitions however often it is given.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from common.errors import HubError
from common.instants import format_instant

_DIGITS = 10**38
"""As many as a sequence number has at most («StreamRecord», Amazon DynamoDB API Reference)."""


class NotDetected(HubError):
    """The function did not detect the transitions of an item; the message says why."""


@dataclass(frozen=True)
class Dropped:
    """An item: its id, which is a hash or one of the application, and since when it waits."""

    id: str
    since: str
    image: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class JobItems:
    """The items of a stack's jobs table, and the function that detects their transitions."""

    dynamodb: Any
    functions: Any
    table: str
    function: str
    clock: Callable[[], datetime]

    def unprocessed(self, older_than: timedelta) -> Iterator[Dropped]:
        """Uploads that have been UPLOADED for longer, in no order. Reads the whole table."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table,
            ConsistentRead=True,
            FilterExpression="itemType = :upload AND phase = :uploaded AND uploadedAt < :before",
            ExpressionAttributeValues={
                ":upload": {"S": "Upload"},
                ":uploaded": {"S": "UPLOADED"},
                ":before": {"S": format_instant(self.clock() - older_than)},
            },
        )
        for page in pages:
            for image in page["Items"]:
                yield Dropped(image["id"]["S"], image["uploadedAt"]["S"], image)

    def named(self, item_id: str) -> Dropped | None:
        """The item of an id, of whatever type; None where there is none."""
        image = self.dynamodb.get_item(
            TableName=self.table, Key={"id": {"S": item_id}}, ConsistentRead=True
        ).get("Item")
        return Dropped(item_id, "", image) if image else None

    def detect(self, item: Dropped) -> None:
        """Have the item's transitions detected as if it had just appeared; raises `NotDetected`."""
        record = _appeared(item, self._stream(), self.clock())
        answer = self.functions.invoke(
            FunctionName=self.function, Payload=json.dumps({"Records": [record]}).encode()
        )
        told = json.load(answer["Payload"])
        if answer.get("FunctionError"):
            raise NotDetected(str(told.get("errorType", "the call failed")))
        if told.get("batchItemFailures"):
            raise NotDetected("its transitions were not sent on")

    def _stream(self) -> str:
        stream: str = self.dynamodb.describe_table(TableName=self.table)["Table"]["LatestStreamArn"]
        return stream


def _appeared(item: Dropped, stream: str, now: datetime) -> dict[str, Any]:
    """A change as a stream has it («Using AWS Lambda with Amazon DynamoDB», AWS Lambda Developer Guide)."""
    image = json.dumps(item.image, sort_keys=True, default=_base64)
    return {
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": stream,
        "dynamodb": {
            "Keys": {"id": {"S": item.id}},
            "NewImage": json.loads(image),
            "SequenceNumber": str(int(sha256(image.encode()).hexdigest(), 16) % _DIGITS),
            "ApproximateCreationDateTime": int(now.timestamp()),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
