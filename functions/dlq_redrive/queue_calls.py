"""Messages of a dead-letter queue, taken and let go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from common.observability import presentable
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH = 10
"""Messages that SQS gives at a time, or takes, at most."""

_WAIT_SECONDS = 1
"""Any wait has SQS ask all its servers («Amazon SQS short and long polling», Amazon SQS Developer Guide)."""


def receive(sqs: SQSClient, queue: DeadLetterQueue, hidden_for: int, attempt: str) -> list[DeadLetter]:
    """Up to ten messages, hidden from others for so many seconds. In a FIFO queue a call that is made again
    with the same `attempt` gets the same messages. Raises what the state machine knows by name."""
    fifo: Any = {"ReceiveRequestAttemptId": attempt} if queue.fifo else {}
    try:
        answer = sqs.receive_message(
            QueueUrl=queue.url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=hidden_for,
            WaitTimeSeconds=_WAIT_SECONDS,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            **fifo,
        )
    except (ClientError, BotoCoreError) as error:
        raise named_failure(error) from None
    return [DeadLetter.received(message) for message in answer.get("Messages", [])]


def release(sqs: SQSClient, queue: DeadLetterQueue, letters: Sequence[DeadLetter]) -> None:
    """Let messages be received again at once. Where that fails it is logged, and they are a while later."""
    for first in range(0, len(letters), BATCH):
        entries: Any = [
            {"Id": str(number), "ReceiptHandle": letter.receipt_handle, "VisibilityTimeout": 0}
            for number, letter in enumerate(letters[first : first + BATCH])
        ]
        try:
            sqs.change_message_visibility_batch(QueueUrl=queue.url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            presentable(error)
