"""A stack with dead-letter queues in moto, and both handlers of the redrive workflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from common import aws_clients
from common.instants import format_instant
from dlq_redrive import plan_redrive, queue_calls, redrive_messages
from dlq_redrive.queue_lock import Held
from dlq_redrive.settings import redrive_settings
from dlq_redrive.table_keys import lock_key
from local.sqs import moto_queues

STACK = "hub-test"
ENVIRONMENT = {
    "STACK_NAME": STACK,
    "MAX_REDRIVES": "3",
    "REDRIVE_MESSAGES_PER_SECOND": "500",
    "REDRIVE_COOL_DOWN_HOURS": "672",
    "QUARANTINE_DEAD_LETTERS_AFTER_DAYS": "10",
}
STACK_TAGS = {"redrive-stack": STACK}


class HeldLock:
    """A lock that is held without being there: the workflow takes it."""

    def __init__(self, *_: Any) -> None:
        pass

    def read(self) -> Held:
        """Nothing was written down."""
        return Held()

    def write(self, totals: Any) -> None:
        """Nothing is written down."""


@dataclass(frozen=True)
class Redrive:
    """The stack: makes queues, fills them, and calls the handlers."""

    context: Any

    def queue(self, name: str, *, kind: str | None = None, dlq: str | None = None, **more: Any) -> str:
        """Make a queue of the stack and return its ARN."""
        name = f"{STACK}-{name}"
        attributes: Any = {"MessageRetentionPeriod": "1209600"}
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        if dlq is not None:
            attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": dlq, "maxReceiveCount": 1})
        tags = {**STACK_TAGS, **({"redrive-kind": kind} if kind else {}), **more.get("tags", {})}
        aws_clients.sqs().create_queue(QueueName=name, Attributes=attributes, tags=tags)
        return f"arn:aws:sqs:us-east-1:{DEFAULT_ACCOUNT_ID}:{name}"

    def pair(self, suffix: str = "") -> tuple[str, str]:
        """A dead-letter queue and the queue that names it."""
        dlq = self.queue(f"dead{suffix}", kind="sqs")
        return dlq, self.queue(f"work{suffix}", dlq=dlq)

    def url(self, arn: str) -> str:
        url: str = aws_clients.sqs().get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        return url

    def send(self, arn: str, body: str, attributes: dict[str, str] | None = None, **more: Any) -> str:
        """Send a message with text attributes and return its id."""
        given: Any = {
            name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()
        }
        answer = aws_clients.sqs().send_message(
            QueueUrl=self.url(arn), MessageBody=body, MessageAttributes=given, **more
        )
        return str(answer["MessageId"])

    def fill(self, arn: str, number: int) -> None:
        """Send as many messages, whose bodies are their numbers."""
        for first in range(0, number, 10):
            entries: Any = [
                {"Id": str(one), "MessageBody": str(one)} for one in range(first, min(first + 10, number))
            ]
            aws_clients.sqs().send_message_batch(QueueUrl=self.url(arn), Entries=entries)

    def messages(self, arn: str) -> list[Any]:
        """What lies in a queue, hidden or not, without touching it."""
        name = arn.rpartition(":")[2]
        return list(sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue(name)._messages)

    def bodies(self, arn: str) -> list[str]:
        return [message.body for message in self.messages(arn)]

    def consume(self, arn: str) -> list[str]:
        """Take everything out of a queue and return the bodies."""
        bodies = self.bodies(arn)
        sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue(arn.rpartition(":")[2])._messages.clear()
        return bodies

    def age(self, arn: str, days: float) -> None:
        """Let what lies in a queue have been sent so many days ago. moto lets go of old messages no more."""
        for message in self.messages(arn):
            message.sent_timestamp -= int(days * 86_400_000)

    def show(self, arn: str) -> None:
        """Let the time pass for which messages are hidden."""
        queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue(arn.rpartition(":")[2])
        for message in queue._messages:
            message.visible_at = 0
        queue.pending_messages.clear()

    def die(self, source: str, dlq: str) -> None:
        """Let a consumer fail on everything in a queue, so that it lies in the dead-letter queue again."""
        backend = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]
        failed = backend.get_queue(source.rpartition(":")[2])._messages
        for message in list(failed):
            self.send_again(message, dlq)
        failed.clear()

    def perish(self, source: str) -> None:
        """Let SQS move everything in a queue to its dead-letter queue, as after its last receive: there its
        messages say where they died."""
        for _ in range(2):
            while (
                aws_clients.sqs()
                .receive_message(QueueUrl=self.url(source), MaxNumberOfMessages=10, VisibilityTimeout=0)
                .get("Messages")
            ):
                pass

    def redriven(self, arn: str, hours_ago: float, field: str = "redrivenAt") -> None:
        """Note that a redrive of a queue ended so long ago, took its lock (`takenAt`) or had SQS redrive it
        (`bulkAt`)."""
        aws_clients.dynamodb().update_item(
            TableName=redrive_settings().table,
            Key=lock_key(arn.rpartition(":")[2]),
            UpdateExpression="SET #field = :at",
            ExpressionAttributeNames={"#field": field},
            ExpressionAttributeValues={
                ":at": {"S": format_instant(datetime.now(UTC) - timedelta(hours=hours_ago))}
            },
        )

    def send_again(self, message: Any, arn: str) -> None:
        """A copy of a message with a new id, as if it had come from elsewhere."""
        fifo: dict[str, Any] = {}
        if message.group_id is not None:
            fifo = {"MessageGroupId": message.group_id, "MessageDeduplicationId": message.id}
        attributes: Any = {
            name: {key: value[key] for key in ("DataType", "StringValue", "BinaryValue") if value.get(key)}
            for name, value in message.message_attributes.items()
        }
        aws_clients.sqs().send_message(
            QueueUrl=self.url(arn), MessageBody=message.body, MessageAttributes=attributes, **fifo
        )

    def plan(self, request: Any = None, execution: str = "one") -> Any:
        event = {"execution": {"name": execution}, "request": request or {}}
        return plan_redrive.lambda_handler(event, self.context)

    def plan_of(self, arn: str, **request: Any) -> Any:
        """The plan of one queue, made to redrive one by one."""
        (planned,) = self.plan({"queueArn": arn, "mode": "counted", **request})["queues"]
        return planned

    def owner(self, execution: str) -> str:
        """The ARN of an execution."""
        return f"arn:aws:states:us-east-1:{DEFAULT_ACCOUNT_ID}:execution:{STACK}-redrive:{execution}"

    def run(self, plan: Any, execution: str = "one", totals: Any = None) -> Any:
        event = {"execution": execution, "owner": self.owner(execution), "queue": plan, "totals": totals}
        return redrive_messages.lambda_handler(event, self.context)

    def run_all(self, plan: Any, execution: str = "one") -> Any:
        """Call again and again as the workflow does."""
        totals = self.run(plan, execution)
        while totals["more"]:
            totals = self.run(plan, execution, totals)
        return totals

    def quarantined(self) -> list[Any]:
        """The objects in quarantine."""
        s3, bucket = aws_clients.s3(), redrive_settings().bucket
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="dead-letters/").get("Contents", [])
        return [json.loads(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()) for one in listed]


@pytest.fixture
def redrive(hub: Any, monkeypatch: pytest.MonkeyPatch, lambda_context: Any) -> Iterator[Redrive]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(queue_calls, "_WAIT_SECONDS", 0)
    moto_queues.install()
    monkeypatch.setattr(redrive_messages, "QueueLock", HeldLock)
    redrive_settings.cache_clear()
    lambda_context.get_remaining_time_in_millis = lambda: 900_000
    yield Redrive(lambda_context)
    redrive_settings.cache_clear()


@pytest.fixture
def set_variable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Changes a setting for the calls that follow."""

    def change(name: str, value: str) -> None:
        monkeypatch.setenv(name, value)
        redrive_settings.cache_clear()

    return change
