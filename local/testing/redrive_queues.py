"""Queues of a stack in tests of its redrive, and what consumes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Queue:
    """A queue of the stack."""

    url: str
    arn: str

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rpartition(":")[2]


@dataclass
class Consumer:
    """Works on a queue when it is told to: everything that `takes` says yes to is processed, the rest dies.

    `processed` are the bodies of what it has taken, in order; `groups` the same by message group.
    """

    sqs: Any
    queue: Queue
    takes: Callable[[str], bool] = lambda _body: True
    processed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)

    def work(self) -> None:
        """Receive until there is nothing more. What it fails on is received again, and so dies."""
        while messages := self.sqs.receive_message(
            QueueUrl=self.queue.url,
            MaxNumberOfMessages=10,
            AttributeNames=["MessageGroupId"],
            MessageAttributeNames=["All"],
        ).get("Messages"):
            for message in messages:
                self._handle(message)

    def _handle(self, message: dict[str, Any]) -> None:
        handle = {"QueueUrl": self.queue.url, "ReceiptHandle": message["ReceiptHandle"]}
        if not self.takes(message["Body"]):
            self.refused.append(message["Body"])
            self.sqs.change_message_visibility(**handle, VisibilityTimeout=0)
            return
        self.processed.append(message["Body"])
        group = message.get("Attributes", {}).get("MessageGroupId", "")
        self.groups.setdefault(group, []).append(message["Body"])
        self.sqs.delete_message(**handle)
