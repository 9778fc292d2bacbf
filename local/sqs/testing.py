"""Queues with dead letters for tests, over a boto3 client of either account."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from local.account.own_pages import ask
from local.account.state_file import RunningAccount
from local.sqs.move_pauses import PATH as MOVES
from local.testing.patience import PATIENCE_SECONDS


def create_queue(sqs: Any, name: str, dead_letters: str | None = None, **attributes: str) -> tuple[str, str]:
    """URL and ARN of a new queue, FIFO for a name that says so; after one receive its messages go to the
    queue of the ARN `dead_letters`."""
    if name.endswith(".fifo"):
        attributes["FifoQueue"] = "true"
    if dead_letters is not None:
        policy = {"deadLetterTargetArn": dead_letters, "maxReceiveCount": 1}
        attributes["RedrivePolicy"] = json.dumps(policy)
    url: str = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return url, asked["QueueArn"]


def send(sqs: Any, url: str, bodies: Sequence[str], **more: Any) -> None:
    """Send the bodies in order; to a FIFO queue in one group unless told otherwise."""
    for number, body in enumerate(bodies):
        fifo = {"MessageGroupId": "group", "MessageDeduplicationId": f"{body}-{number}"}
        sqs.send_message(QueueUrl=url, MessageBody=body, **(fifo if url.endswith(".fifo") else {}), **more)


def let_die(sqs: Any, url: str) -> None:
    """Receive what is in a queue, and do nothing with it, until all of it is in the dead-letter queue."""
    left, deadline = _number(sqs, url), time.monotonic() + PATIENCE_SECONDS
    while left:
        # To ask how many are left takes as long as to receive some: many are received between two questions.
        for _ in range(left):
            received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
            if not received.get("Messages"):
                break
        before, left = left, _number(sqs, url)
        if left < before:
            deadline = time.monotonic() + PATIENCE_SECONDS
        assert time.monotonic() < deadline, "the messages do not die"


def taken(sqs: Any, url: str) -> list[dict[str, Any]]:
    """What can be received from a queue, in order, with all its attributes; it is deleted."""
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages"):
        found += messages
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def bodies(sqs: Any, url: str) -> list[str]:
    """The bodies of what can be received from a queue, in order; it is deleted."""
    return [message["Body"] for message in taken(sqs, url)]


@contextmanager
def no_moves(account: RunningAccount) -> Iterator[None]:
    """Let no task of the account move anything within the block: what is started there stays RUNNING."""
    _pause(account, paused=True)
    try:
        yield
    finally:
        _pause(account, paused=False)


def latest_task(sqs: Any, source_arn: str) -> dict[str, Any]:
    """The entry of the latest task of a queue."""
    entry: dict[str, Any] = sqs.list_message_move_tasks(SourceArn=source_arn)["Results"][0]
    return entry


def ended_task(sqs: Any, source_arn: str) -> dict[str, Any]:
    """The entry of the latest task of a queue once it has ended, and its number has followed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while latest_task(sqs, source_arn)["Status"] in ("RUNNING", "CANCELLING"):
        assert time.monotonic() < deadline, "the task does not end"
    return latest_task(sqs, source_arn)


def _pause(account: RunningAccount, *, paused: bool) -> None:
    ask(account, MOVES, "POST", json.dumps({"paused": paused}).encode())


def _number(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(counted[name]) for name in names)
