"""A queue that a rule of the bus fills, drained by threads until the block ends."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from local.account.clients import client
from local.account.state_file import RunningAccount

THREADS = 4
BATCH = 10
LONG_POLL_SECONDS = 1
# How long an empty queue is watched for events that nobody has announced.
SURPLUS_SECONDS = 1.0
# What is in flight must not come back while it is being deleted.
VISIBILITY_SECONDS = 300


class BusQueue:
    """The rule, its queue, and threads that empty the queue: `take` is given the bodies of each batch."""

    def __init__(
        self,
        account: RunningAccount,
        bus_name: str,
        name: str,
        pattern: Mapping[str, Any],
        take: Callable[[Sequence[str]], None],
    ) -> None:
        self._account = account
        self._bus_name = bus_name
        self._name = name
        self._pattern = pattern
        self._take = take
        self._sqs = client(account, "sqs")
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self._queue_url = ""

    def __enter__(self) -> Self:
        self._queue_url = self._subscribe()
        for number in range(THREADS):
            thread = threading.Thread(target=self._drain, name=f"{self._name}-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=LONG_POLL_SECONDS + 5)

    def remove(self) -> None:
        """Take away the rule and the queue, with what it may still hold."""
        events = client(self._account, "events")
        events.remove_targets(Rule=self._name, EventBusName=self._bus_name, Ids=[self._name])
        events.delete_rule(Name=self._name, EventBusName=self._bus_name)
        self._sqs.delete_queue(QueueUrl=self._queue_url)

    def wait_while(self, count: Callable[[], int], expected: int, deadline_seconds: float) -> int:
        """Wait until so many have come, or none for the deadline; returns how many."""
        last, changed = -1, time.monotonic()
        while (seen := count()) < expected:
            self._raise_failure()
            if seen != last:
                last, changed = seen, time.monotonic()
            elif time.monotonic() - changed > deadline_seconds:
                break
            time.sleep(0.1)
        return seen

    def wait_until_empty(self, deadline_seconds: float) -> bool:
        """Wait until the queue has held nothing, delivered or not, for a while; returns whether it has."""
        deadline = time.monotonic() + deadline_seconds
        empty_since = None
        while time.monotonic() < deadline:
            self._raise_failure()
            if any(self._depth().values()):
                empty_since = None
            elif empty_since is None:
                empty_since = time.monotonic()
            elif time.monotonic() - empty_since >= SURPLUS_SECONDS:
                return True
            time.sleep(0.1)
        return False

    def _depth(self) -> Mapping[str, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=names)
        return {name: int(value) for name, value in answer["Attributes"].items()}

    def _raise_failure(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _subscribe(self) -> str:
        events = client(self._account, "events")
        url: str = self._sqs.create_queue(
            QueueName=self._name, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        )["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        rule = events.put_rule(
            Name=self._name, EventBusName=self._bus_name, EventPattern=json.dumps(self._pattern)
        )["RuleArn"]
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(_policy(arn, rule))})
        events.put_targets(
            Rule=self._name, EventBusName=self._bus_name, Targets=[{"Id": self._name, "Arn": arn}]
        )
        return url

    def _drain(self) -> None:
        try:
            while not self._stopping.is_set():
                self._take_batch()
        except (BotoCoreError, ClientError, KeyError, ValueError) as failure:
            if not self._stopping.is_set():
                self._failures.append(failure)

    def _take_batch(self) -> None:
        """Count a batch, then delete it: an empty queue means that everything in it was counted."""
        messages: list[dict[str, Any]] = self._sqs.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=LONG_POLL_SECONDS
        ).get("Messages", [])
        if not messages:
            return
        self._take([message["Body"] for message in messages])
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages)
        ]
        self._sqs.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)


def _policy(queue_arn: str, rule_arn: str) -> dict[str, Any]:
    """Let the rule, and nothing else, send to the queue."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}
