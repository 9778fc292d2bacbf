"""The jobs queue: one message at a time, hidden from others while it is worked on.

Follows the Amazon SQS Developer Guide, «Amazon SQS visibility timeout» and «FIFO delivery logic»: as long
as a message of a group is hidden, no other message of the group is delivered, so that one message at a time
is one group at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from hub_worker.aws import error_code

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

LONGEST_RETRY_SECONDS = 900
_NO_LONGER_OURS = (
    "ReceiptHandleIsInvalid",
    "MessageNotInflight",
    "InvalidParameterValue",
    "QueueDoesNotExist",
    "NonExistentQueue",
)


@dataclass(frozen=True)
class Received:
    """A message in flight. `tries` counts this time."""

    message_id: str
    receipt: str
    body: str
    tries: int


@dataclass(frozen=True)
class JobsQueue:
    """The queue at `url`; a received message stays hidden for `visibility` seconds."""

    sqs: SQSClient
    url: str
    visibility: int
    wait: int
    retry: int
    draw: Callable[[], float] = random.random

    def receive(self) -> Received | None:
        """The next message, or None when there was none for `wait` seconds."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=self.wait,
            VisibilityTimeout=self.visibility,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        for message in answer.get("Messages", []):
            tries = int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1"))
            return Received(message["MessageId"], message["ReceiptHandle"], message["Body"], tries)
        return None

    def keep_hidden(self, received: Received) -> bool:
        """Hide the message for another while; returns False when it is not ours any more."""
        return self._hide(received, self.visibility)

    def hand_back(self, received: Received) -> bool:
        """Let another worker have the message at once."""
        return self._hide(received, 0)

    def try_again_later(self, received: Received) -> int:
        """Hide the message for the seconds that are returned: longer with each try, and never twice the same.

        After the queue's maximum of tries SQS moves it to the dead-letter queue.
        """
        longest: int = min(self.retry << min(received.tries - 1, 10), LONGEST_RETRY_SECONDS)
        seconds = round(longest * (0.5 + self.draw() / 2))
        self._hide(received, seconds)
        return seconds

    def delete(self, received: Received) -> bool:
        """Take the message off the queue; returns False when it is not ours any more."""
        try:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=received.receipt)
        except ClientError as error:
            return _refused(error)
        return True

    def _hide(self, received: Received, seconds: int) -> bool:
        try:
            self.sqs.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=received.receipt, VisibilityTimeout=seconds
            )
        except ClientError as error:
            return _refused(error)
        return True


def _refused(error: ClientError) -> bool:
    """False when the message is visible again or gone; raises the error when it is something else."""
    if any(name in error_code(error) for name in _NO_LONGER_OURS):
        return False
    raise error
