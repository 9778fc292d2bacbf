"""A consumer of a queue, broken until it is mended: it fails on every message, then on unreadable ones only.

It keeps the ids of what has come to it, and of what it could do, independent of what a redrive says.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from dlq_redrive.dead_letter import REDRIVE_ATTRIBUTE
from local.account.clients import client
from local.account.state_file import RunningAccount
from local.demo.messages import Unreadable, handle, id_of

BATCH = 10
LONG_POLL_SECONDS = 1


class Deliveries:
    """Ids of messages: what could be done, and what has come back since the consumer works, by who sent it:
    SQS, which changes nothing of a message, or a redrive that counts, which marks it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._works = False
        self._processed: set[str] = set()
        self._by_sqs: set[str] = set()
        self._one_by_one: set[str] = set()

    def mend(self) -> None:
        """From now on only what cannot be read fails."""
        with self._lock:
            self._works = True

    def take(self, messages: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Do what there is to do for each message; returns which could be done."""
        with self._lock:
            return [self._takes(message) for message in messages]

    def _takes(self, message: Mapping[str, Any]) -> bool:
        if not self._works:
            return False
        name = id_of(message["Body"])
        marked = REDRIVE_ATTRIBUTE in message.get("MessageAttributes", {})
        (self._one_by_one if marked else self._by_sqs).add(name)
        try:
            handle(message["Body"])
        except Unreadable:
            return False
        self._processed.add(name)
        return True

    @property
    def processed(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._processed)

    @property
    def by_sqs(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._by_sqs)

    @property
    def one_by_one(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._one_by_one)


class Consumer:
    """A thread that takes messages until the block ends. What it fails on it gives back at once, and SQS
    gives it up once it has come too often."""

    def __init__(self, account: RunningAccount, queue_url: str) -> None:
        self.deliveries = Deliveries()
        self._sqs = client(account, "sqs")
        self._queue_url = queue_url
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._consume, name="demo-consumer", daemon=True)

    def __enter__(self) -> "Consumer":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=LONG_POLL_SECONDS + 5)

    def raise_failure(self) -> None:
        """Raise what has ended the thread, if anything has."""
        if self._failure is not None:
            raise self._failure

    def _consume(self) -> None:
        try:
            while not self._stopping.is_set():
                self._take_batch()
        except (BotoCoreError, ClientError, KeyError, ValueError) as failure:
            if not self._stopping.is_set():
                self._failure = failure

    def _take_batch(self) -> None:
        messages: list[dict[str, Any]] = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=LONG_POLL_SECONDS,
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        done: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for number, (message, good) in enumerate(zip(messages, self.deliveries.take(messages), strict=True)):
            entry = {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            (done if good else failed).append(entry)
        if done:
            self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=done)
        if failed:
            entries = [{**entry, "VisibilityTimeout": 0} for entry in failed]
            self._sqs.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
