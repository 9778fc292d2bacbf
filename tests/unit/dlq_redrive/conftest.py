"""Queues and messages of the redrive workflow, without AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dlq_redrive.arns import Home
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def home() -> Home:
    return Home("aws", "us-east-1", "123456789012")


@pytest.fixture
def queue_of() -> Callable[..., DeadLetterQueue]:
    """A dead-letter queue of a kind."""

    def make(kind: str = "sqs", *sources: str, fifo: bool = False) -> DeadLetterQueue:
        name = f"hub-dead{'.fifo' if fifo else ''}"
        return DeadLetterQueue(
            f"https://sqs/123456789012/{name}", f"arn:aws:sqs:us-east-1:123456789012:{name}", kind, sources
        )

    return make


@pytest.fixture
def letter_with() -> Callable[..., DeadLetter]:
    """A message with a body, text attributes and SQS's own attributes."""

    def make(
        body: Any = "body", *, message_id: str = "id", age: timedelta = timedelta(hours=1), **given: Any
    ) -> DeadLetter:
        sent = int((NOON - age).timestamp() * 1000)
        return DeadLetter(
            message_id=message_id,
            receipt_handle=f"receipt of {message_id}",
            body=body if isinstance(body, str) else json.dumps(body),
            message_attributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in given.get("message_attributes", {}).items()
            },
            attributes={"SentTimestamp": str(sent), **given.get("attributes", {})},
        )

    return make
