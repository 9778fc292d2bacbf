"""A queue of the user's beside the stack's own, and the dead-letter queue that it names.

Both are named and tagged as the stack's are, which is all that the redrive workflow asks for to find them.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from dlq_redrive.queue_discovery import KIND_TAG, STACK_TAG
from local.cli.operations.hub import DeployedHub
from local.demo.messages import Message, id_of

MOST_RECEIVES = 2
BATCH = 10
# A look holds what it has seen for no longer than this, should it end early.
LOOK_SECONDS = 20
WAITING = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class ConsumerQueues:
    """The queue and its dead-letter queue, made in the hub's account."""

    def __init__(self, hub: DeployedHub) -> None:
        self._sqs = hub.client("sqs")
        ours = {STACK_TAG: hub.stack_name}
        self.dead_letters_name = f"{hub.stack_name}-DemoDeadLetterQueue"
        self._dead_url: str = self._sqs.create_queue(
            QueueName=self.dead_letters_name, tags={**ours, KIND_TAG: "sqs"}
        )["QueueUrl"]
        dead = self._sqs.get_queue_attributes(QueueUrl=self._dead_url, AttributeNames=["QueueArn"])
        policy = {
            "deadLetterTargetArn": dead["Attributes"]["QueueArn"],
            "maxReceiveCount": MOST_RECEIVES,
        }
        self.url: str = self._sqs.create_queue(
            QueueName=f"{hub.stack_name}-DemoQueue",
            Attributes={"RedrivePolicy": json.dumps(policy)},
            tags=ours,
        )["QueueUrl"]

    def send(self, messages: Sequence[Message]) -> None:
        """Send them all to the queue, each with an attribute of the sender's."""
        for first in range(0, len(messages), BATCH):
            entries = [
                {"Id": one.id, "MessageBody": one.body, "MessageAttributes": sender_attributes()}
                for one in messages[first : first + BATCH]
            ]
            self._sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    def waiting(self) -> int:
        """How many messages the queue has, those that are with the consumer too."""
        return self._depth(self.url)

    def dead(self) -> int:
        """How many messages the dead-letter queue has."""
        return self._depth(self._dead_url)

    def dead_ids(self) -> frozenset[str]:
        """The ids of the messages in the dead-letter queue, all of which can be received again afterwards."""
        seen: list[dict[str, Any]] = []
        while messages := self._received():
            seen += messages
        for first in range(0, len(seen), BATCH):
            entries = [
                {"Id": str(uuid.uuid4()), "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 0}
                for one in seen[first : first + BATCH]
            ]
            self._sqs.change_message_visibility_batch(QueueUrl=self._dead_url, Entries=entries)
        return ids_of(one["Body"] for one in seen)

    def _received(self) -> list[dict[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=self._dead_url, MaxNumberOfMessages=BATCH, VisibilityTimeout=LOOK_SECONDS
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def _depth(self, url: str) -> int:
        asked = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(WAITING))["Attributes"]
        return sum(int(asked[name]) for name in WAITING)


def sender_attributes() -> dict[str, Any]:
    """The attributes that every message is sent with."""
    return {"Sender": {"DataType": "String", "StringValue": "demo"}}


def ids_of(bodies: Iterable[str]) -> frozenset[str]:
    """The distinct ids of messages with those bodies."""
    return frozenset(map(id_of, bodies))
