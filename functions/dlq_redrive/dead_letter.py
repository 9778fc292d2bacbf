"""A message of a dead-letter queue, and the queue.

Follows «ReceiveMessage» and «MessageAttributeValue» of the Amazon SQS API Reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dlq_redrive.arns import is_fifo, name_of_queue

KINDS = ("sqs", "rule", "async", "schedule", "stream", "pipe", "bus")
"""What `redrive-kind`, the tag of a dead-letter queue, may say: who sent its messages there."""

REDRIVE_ATTRIBUTE = "HealthLakeHubRedrive"
"""Message attribute of what was sent back: how often, this time included."""

MOST_ATTRIBUTES = 10
"""Message attributes that a message can have (Amazon SQS Developer Guide, «Amazon SQS message metadata»)."""


@dataclass(frozen=True)
class DeadLetterQueue:
    """A dead-letter queue of the stack: its kind, and the ARNs of the queues that name it."""

    url: str
    arn: str
    kind: str
    sources: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The queue's name."""
        return name_of_queue(self.arn)

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue."""
        return is_fifo(self.arn)

    def url_of(self, arn: str) -> str:
        """The URL of another queue of the same account and region."""
        return f"{self.url.rpartition('/')[0]}/{name_of_queue(arn)}"


@dataclass(frozen=True)
class DeadLetter:
    """A message as it was received. `attributes` are SQS's own, `message_attributes` the sender's."""

    message_id: str
    receipt_handle: str
    body: str
    message_attributes: Mapping[str, Any]
    attributes: Mapping[str, str]

    @classmethod
    def received(cls, message: Mapping[str, Any]) -> DeadLetter:
        """The message in an answer of ReceiveMessage."""
        return cls(
            message_id=message["MessageId"],
            receipt_handle=message["ReceiptHandle"],
            body=message["Body"],
            message_attributes=message.get("MessageAttributes", {}),
            attributes=message.get("Attributes", {}),
        )

    def text_attribute(self, name: str) -> str | None:
        """The text of a message attribute, None when there is none."""
        value = self.message_attributes.get(name, {}).get("StringValue")
        return value if isinstance(value, str) else None

    @property
    def group_id(self) -> str | None:
        """The group that the message belongs to, if any."""
        return self.attributes.get("MessageGroupId")

    @property
    def source_arn(self) -> str | None:
        """The queue that it died in, where SQS says so: not of what was sent to the dead-letter queue."""
        return self.attributes.get("DeadLetterQueueSourceArn")

    @property
    def sent_at(self) -> datetime:
        """When it was sent, which its age counts from. In a standard queue that is when it was sent first, in
        a FIFO queue when it died («Using dead-letter queues in Amazon SQS», Amazon SQS Developer Guide)."""
        return _instant(self.attributes["SentTimestamp"])

    def failed_at(self, kind: str) -> datetime:
        """When it failed, as far as SQS tells: a message that SQS moved was first received then, before the
        tries that failed; any other was sent here because it had failed."""
        first = self.attributes.get("ApproximateFirstReceiveTimestamp")
        return _instant(first) if kind == "sqs" and first else self.sent_at

    def without_attributes(self) -> DeadLetter:
        """The same message as a sender that knows no message attributes would have sent it."""
        return replace(self, message_attributes={})

    def unmarked(self) -> dict[str, Any]:
        """Its message attributes without the mark of a redrive."""
        return {name: one for name, one in self.message_attributes.items() if name != REDRIVE_ATTRIBUTE}

    def marked(self, redrives: int) -> dict[str, Any]:
        """Its message attributes with the mark of a redrive, or without one where there is no room."""
        mark = {REDRIVE_ATTRIBUTE: {"DataType": "Number", "StringValue": str(redrives)}}
        marked = {**self.message_attributes, **mark}
        return dict(marked if len(marked) <= MOST_ATTRIBUTES else self.message_attributes)


def _instant(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
