"""The redrive workflow whole: the real state machine file, the real handlers, moto's queues of a stack.

    with RedriveHub(monkeypatch) as hub:
        dead, work = hub.pair()
        hub.die(work, "a", "b")
        run = hub.run()
        assert run.path[-1] == "Redriven"

When a Wait state passes, its seconds pass for queues as well: what a dead call of a function has hidden can
be received again after it.

Consumers are no threads: `hub.settled_by(consumer)` lets one work while the next redrive settles, and what it
fails on is dead when the redrive looks again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from moto.sqs.models import sqs_backends

from common import aws_clients
from common.instants import format_instant
from dlq_redrive import plan_redrive, queue_calls, redrive_messages
from dlq_redrive.settings import redrive_settings
from dlq_redrive.table_keys import lock_key
from local.sqs.moto_queues import MotoQueues
from local.sqs.testing import create_queue, let_die
from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Workbench, function_arn
from local.stepfunctions.workbench_run import Run
from local.testing.mocked_hub import (
    ACCOUNT,
    BUCKET,
    BUS,
    CREDENTIALS,
    REGION,
    TABLE,
    create_hub_resources,
)
from local.testing.moto_dynamodb import atomic_writes
from local.testing.redrive_bindings import RedriveBindings
from local.testing.redrive_queues import Consumer, Queue

__all__ = ["Consumer", "Queue", "RedriveHub"]

DEFINITION = Path(__file__).parents[2] / "statemachines" / "dlq_redrive.asl.json"
STACK = "hub-test"
ENVIRONMENT = {
    "HUB_TABLE": TABLE,
    "HUB_BUCKET": BUCKET,
    "EVENT_BUS": BUS,
    "STACK_NAME": STACK,
    "MAX_REDRIVES": "3",
    "REDRIVE_MESSAGES_PER_SECOND": "500",
    "REDRIVE_COOL_DOWN_HOURS": "672",
    "QUARANTINE_DEAD_LETTERS_AFTER_DAYS": "10",
}
COUNTING = "RedriveMessagesFunction"
HANDLERS = {
    "PlanRedriveFunction": plan_redrive.lambda_handler,
    COUNTING: redrive_messages.lambda_handler,
}
QUICK = Pace(delays=0.0002)
_SECONDS = 60.0


class RedriveHub:
    """The workflow with everything around it. `bench` runs executions, `sqs` has the queues."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        definition: Path = DEFINITION,
        pace: Pace = QUICK,
        settle_seconds: int = 60,
    ) -> None:
        self._monkeypatch = monkeypatch
        self._open = ExitStack()
        self.bench = Workbench(
            definition,
            {
                **{f"{name}Arn": function_arn(name) for name in HANDLERS},
                "Partition": "aws",
                "HubTableName": TABLE,
                "SettleSeconds": str(settle_seconds),
            },
            HANDLERS,
            pace=replace(pace, waited=self.let_pass),
            name="redrive",
            encrypted=True,
        )
        self.bindings = RedriveBindings(self.bench)

    def __enter__(self) -> Self:
        for name, value in CREDENTIALS.items():
            self._monkeypatch.setenv(name, value)
        # What dead letters are sent back to: the functions of the bench.
        self._monkeypatch.setattr(aws_clients, "functions_once", lambda: self.bindings.functions)
        # Waiting for a message that does not come takes a second each time, and moto asks one server only.
        self._monkeypatch.setattr(queue_calls, "_WAIT_SECONDS", 0)
        with ExitStack() as opening:
            opening.callback(_forget)
            # moto forgets the session, which has read the descriptions of services, with each mock.
            session = patch.object(boto3, "DEFAULT_SESSION", _session())
            for part in (mock_aws(), session, atomic_writes(), self.bench):
                opening.enter_context(part)
            create_hub_resources()
            self.configure(**ENVIRONMENT)
            self.sqs = boto3.client("sqs", REGION)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def configure(self, **settings: str) -> None:
        """Set environment variables of the functions, as a deployment would."""
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)
        _forget()

    def queue(self, name: str, *, kind: str | None = None, dead_letters: Queue | None = None) -> Queue:
        """Make a queue of the stack; one message that is received and not deleted is dead."""
        arn = None if dead_letters is None else dead_letters.arn
        queue = Queue(*create_queue(self.sqs, f"{STACK}-{name}", arn))
        tags = {"redrive-stack": STACK, **({"redrive-kind": kind} if kind else {})}
        self.sqs.tag_queue(QueueUrl=queue.url, Tags=tags)
        return queue

    def pair(self, suffix: str = "") -> tuple[Queue, Queue]:
        """A dead-letter queue and the queue that names it; FIFO queues for a suffix that says so."""
        dead = self.queue(f"dead{suffix}", kind="sqs")
        return dead, self.queue(f"work{suffix}", dead_letters=dead)

    def die(self, work: Queue, *bodies: str, groups: int = 1) -> None:
        """Let messages die in a queue; in a FIFO queue they take turns in so many groups."""
        self.send(work, bodies, groups=groups)
        let_die(self.sqs, work.url)

    def send(self, queue: Queue, bodies: Sequence[str], groups: int = 1) -> None:
        """Send messages, ten at a time."""
        for first in range(0, len(bodies), 10):
            entries: list[Any] = []
            for number, body in enumerate(bodies[first : first + 10], first):
                group = {"MessageGroupId": f"group-{number % groups}", "MessageDeduplicationId": str(number)}
                fifo = group if queue.url.endswith(".fifo") else {}
                entries.append({"Id": str(number), "MessageBody": body, **fifo})
            self.sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)

    def messages(self, queue: Queue) -> list[Any]:
        """What lies in a queue, hidden or not, untouched."""
        return list(sqs_backends[ACCOUNT][REGION].get_queue(queue.name)._messages)

    def bodies(self, queue: Queue) -> list[str]:
        """The bodies of what lies in a queue, hidden or not, in order."""
        return [str(message.body) for message in self.messages(queue)]

    def let_pass(self, seconds: float) -> None:
        """Let time pass for what is hidden in queues: so much earlier can it be received again. What a call
        of the counting function has in hand it has handled or given up by then."""
        with suppress(TimeoutError):
            self.bench.wait_until(lambda: not self.bench.under_way(COUNTING), _SECONDS)
        with MotoQueues().held():
            for queue in sqs_backends[ACCOUNT][REGION].queues.values():
                for message in queue._messages:
                    message.visible_at -= seconds * 1000

    def show(self, *queues: Queue) -> None:
        """Let the time pass for which messages are hidden."""
        for queue in queues:
            found = sqs_backends[ACCOUNT][REGION].get_queue(queue.name)
            for message in found._messages:
                message.visible_at = 0

    def looked_at(self, queue: Queue, handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """The function, during whose first call somebody looks at the queue and hides what lies there."""
        looks = iter([True])

        def call(event: Any, context: Any) -> Any:
            url, looking = queue.url, next(looks, False)
            more: Any = {"MaxNumberOfMessages": 10, "VisibilityTimeout": 30}
            seen = self.sqs.receive_message(QueueUrl=url, **more).get("Messages", []) if looking else []
            try:
                return handler(event, context)
            finally:
                for one in seen:
                    handle = {"QueueUrl": url, "ReceiptHandle": one["ReceiptHandle"]}
                    self.sqs.change_message_visibility(**handle, VisibilityTimeout=0)

        return call

    def consumer(self, queue: Queue, takes: Callable[[str], bool] = lambda _body: True) -> Consumer:
        """A consumer of a queue."""
        return Consumer(self.sqs, queue, takes)

    def settled_by(self, *consumers: Consumer) -> None:
        """Let the consumers work while the next redrive settles."""

        def work(call: Callable[[], Any]) -> Any:
            for consumer in consumers:
                consumer.work()
            return call()

        self.bench.call_faults.plan("Look Again", work)

    def start(self, request: Any = None, *, until: str) -> Run:
        """Start an execution and return once it has entered the state."""
        run = self.bench.start(request)
        self.bench.wait_until(lambda: until in run.path or run.status != "RUNNING", _SECONDS)
        assert until in run.path, (run.path, run.error, run.cause)
        return run

    def run(self, request: Any = None) -> Run:
        """Start an execution and wait for its end."""
        return self.bench.start(request).wait(_SECONDS)

    def told(self, run: Run) -> list[dict[str, Any]]:
        """What an execution tells at its end of each queue that it has taken up."""
        report = run.output if run.status == "SUCCEEDED" else json.loads(run.cause or "")
        found: list[dict[str, Any]] = report["queues"]
        return found

    def lock(self, queue: Queue) -> dict[str, str]:
        """What the lock of a dead-letter queue says: its owner, if it has one, and when it was redriven."""
        answer = aws_clients.dynamodb().get_item(TableName=TABLE, Key=lock_key(queue.name))
        return {
            name: value["S"] for name, value in answer.get("Item", {}).items() if name not in ("pk", "sk")
        }

    def hold_lock(self, queue: Queue, owner: str, since: timedelta = timedelta(hours=2)) -> None:
        """Let somebody else have the lock of a dead-letter queue, for so long already."""
        taken_at = {"S": format_instant(datetime.now(UTC) - since)}
        self._change_lock(
            queue, "SET #owner = :owner, takenAt = :at", {":owner": {"S": owner}, ":at": taken_at}
        )

    def note_redrive(self, queue: Queue, since: timedelta = timedelta(0), *, by_sqs: bool = False) -> None:
        """Let a redrive of a dead-letter queue have ended so long ago, or SQS have begun one."""
        at = {":at": {"S": format_instant(datetime.now(UTC) - since)}}
        self._change_lock(queue, f"SET {'bulkAt' if by_sqs else 'redrivenAt'} = :at", at)

    def free_lock(self, queue: Queue) -> None:
        """Take the lock away from whoever has it."""
        self._change_lock(queue, "REMOVE #owner")

    def forget_redrives(self, queue: Queue) -> None:
        """Let no redrive of a queue have been."""
        aws_clients.dynamodb().delete_item(TableName=TABLE, Key=lock_key(queue.name))

    def execution_arn(self, name: str) -> str:
        """The ARN of an execution of that name, whether there is one or not."""
        return f"{self.bench.state_machine.arn.replace(':stateMachine:', ':execution:')}:{name}"

    def quarantined(self) -> list[dict[str, Any]]:
        """The objects in quarantine."""
        s3 = aws_clients.s3()
        pages: Iterable[Any] = s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix="dead-letters/"
        )
        keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return [json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys]

    def _change_lock(self, queue: Queue, update: str, values: dict[str, Any] | None = None) -> None:
        more: Any = {"ExpressionAttributeValues": values} if values else {}
        if "#owner" in update:
            more["ExpressionAttributeNames"] = {"#owner": "owner"}
        aws_clients.dynamodb().update_item(
            TableName=TABLE,
            Key=lock_key(queue.name),
            UpdateExpression=update,
            **more,
        )


@cache
def _session() -> boto3.Session:
    return boto3.Session()


def _forget() -> None:
    aws_clients.forget_clients()
    redrive_settings.cache_clear()
