"""Dead-letter queues of each kind with what their messages are bound for: where they die, and come back to.

A post kills what it is given, lets its consumers work, and says what waits. Kinds differ in who consumes:

| kind     | consumer                                  | when it fails                                       |
|----------|-------------------------------------------|-----------------------------------------------------|
| sqs      | receives from a queue                     | the queue lets the message die                      |
| async    | a function that is invoked asynchronously | Lambda sends a record of the failed invocation      |
| stream   | a function that is given records          | at once: the redrive is told, the message stays     |
| rule     | a function, the target of a rule          | never: what reached it does not come back           |
| bus      | whoever has a rule on the bus             | never                                               |
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC
from itertools import count
from typing import Any

import boto3

from common.instants import format_instant
from local.soak.redrive.books import COUNTED, Books
from local.soak.redrive.clock import Clock
from local.soak.redrive.mail import Mail, id_in
from local.testing.mocked_hub import ACCOUNT, BUS, REGION
from local.testing.redrive_hub import Queue, RedriveHub

Takes = Callable[[str, int], bool]
"""Whether a consumer takes the message of that id, which it is given for the n-th time."""

_RETENTION: Any = {"MessageRetentionPeriod": str(14 * 86_400)}


@dataclass
class Post:
    """A dead-letter queue, and the other end of its way back. `queues` are those that messages wait in."""

    hub: RedriveHub
    books: Books
    clock: Clock
    takes: Takes
    name: str
    kind: str = "sqs"
    suffix: str = ""
    dead: Queue = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self.dead = self.hub.queue(f"{self.name}-dead{self.suffix}", kind=self.kind)
        self.hub.sqs.set_queue_attributes(QueueUrl=self.dead.url, Attributes=_RETENTION)
        self.open()

    def open(self) -> None:
        """Make what messages are bound for."""

    def kill(self, mail: Mail) -> None:
        """Let every copy of a message die."""
        self.books.write(mail)
        for _ in range(mail.copies):
            self.post(mail)

    def post(self, mail: Mail) -> None:
        """Let one copy of a message die."""
        raise NotImplementedError

    def work(self) -> None:
        """Let the consumers work until nothing waits for them."""

    def waiting(self) -> Iterator[str]:
        """The ids of the messages that wait, in the dead-letter queue or for a consumer."""
        yield from (id_in(body) for body in self.hub.bodies(self.dead))

    def consume(self, identity: str) -> bool:
        """Give a message to its consumer; whether it was processed."""
        if not self.takes(identity, self.books.give(identity)):
            return False
        self.books.process(identity)
        return True


class QueuePost(Post):
    """Two queues that share a dead-letter queue, and a third that a person may choose instead of them."""

    works: list[Queue]

    def open(self) -> None:
        self._copies = count()
        self.works = [
            self.hub.queue(f"{self.name}-work-{number}{self.suffix}", dead_letters=self.dead)
            for number in range(2)
        ]
        self.spare = self.hub.queue(f"{self.name}-spare{self.suffix}")
        self.books.feeds.update({work.name: self.dead.name for work in (*self.works, self.spare)})

    def post(self, mail: Mail) -> None:
        """Send it. Its consumer fails on it when it works."""
        fifo: Any = {"MessageGroupId": mail.group, "MessageDeduplicationId": f"copy-{next(self._copies)}"}
        self.hub.sqs.send_message(
            QueueUrl=self.works[int(mail.group[-1]) % 2].url,
            MessageBody=mail.text,
            MessageAttributes=dict(mail.attributes),
            **(fifo if self.suffix else {}),
        )

    def kill(self, mail: Mail) -> None:
        """Send it, and let it die."""
        super().kill(mail)
        self.work()

    def work(self) -> None:
        with self._lock:
            for queue in (*self.works, self.spare):
                while messages := self._receive(queue):
                    for message in messages:
                        self._handle(queue, message)

    def waiting(self) -> Iterator[str]:
        for queue in (self.dead, *self.works, self.spare):
            yield from (id_in(body) for body in self.hub.bodies(queue))

    def _receive(self, queue: Queue) -> list[dict[str, Any]]:
        answer: Any = self.hub.sqs.receive_message(
            QueueUrl=queue.url,
            MaxNumberOfMessages=10,
            AttributeNames=["MessageGroupId"],
            MessageAttributeNames=["All"],
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def _handle(self, queue: Queue, message: dict[str, Any]) -> None:
        identity = id_in(message["Body"])
        group = message.get("Attributes", {}).get("MessageGroupId")
        self.books.compare(identity, message.get("MessageAttributes", {}), group)
        handle = {"QueueUrl": queue.url, "ReceiptHandle": message["ReceiptHandle"]}
        if queue is self.spare:  # what died here would be lost: it has no dead-letter queue
            self.books.process(identity)
        elif not self.consume(identity):
            self.hub.sqs.change_message_visibility(**handle, VisibilityTimeout=0)
            return
        self.hub.sqs.delete_message(**handle)


class FunctionPost(Post):
    """A function that is invoked asynchronously, and the records of its failures."""

    inbox: list[Any]

    def open(self) -> None:
        self.inbox = []
        self.function = f"{self.name}-target"
        self.arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function}"
        self.hub.bench.functions[self.function] = self._arrive

    def post(self, mail: Mail) -> None:
        """Send the record of its failure."""
        self.books.give(mail.id)
        self.fail({"text": mail.text})

    def fail(self, payload: Any) -> None:
        """What becomes of a payload that the function fails on."""
        record = {
            "requestContext": {"functionArn": f"{self.arn}:$LATEST", "condition": "RetriesExhausted"},
            "requestPayload": payload,
        }
        self.hub.sqs.send_message(QueueUrl=self.dead.url, MessageBody=json.dumps(record))

    def work(self) -> None:
        with self._lock:
            while self.inbox:
                payload = self.inbox[0]
                if not self.consume(id_in(json.dumps(payload))):
                    self.fail(payload)
                self.inbox.pop(0)

    def waiting(self) -> Iterator[str]:
        yield from super().waiting()
        yield from (id_in(json.dumps(payload)) for payload in self.inbox)

    def _arrive(self, event: Any, _context: Any) -> None:
        self.books.deliver(id_in(json.dumps(event)), COUNTED)
        self.inbox.append(event)


class RulePost(FunctionPost):
    """A function that a rule delivers to, once it can."""

    def post(self, mail: Mail) -> None:
        attributes = {"RULE_ARN": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/x", "TARGET_ARN": self.arn}
        self.hub.sqs.send_message(
            QueueUrl=self.dead.url,
            MessageBody=json.dumps({"detail": mail.text}),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()
            },
        )

    def consume(self, identity: str) -> bool:
        self.books.process(identity)
        return True


class StreamPost(FunctionPost):
    """A function that reads a stream, and the positions of what it failed on."""

    def open(self) -> None:
        super().open()
        self.hub.bench.functions[self.function] = self._given
        self._database = boto3.client("dynamodb", REGION)
        made = self._database.create_table(
            TableName=self.name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self._stream = made["TableDescription"]["LatestStreamArn"]
        self._streams = boto3.client("dynamodbstreams", REGION)
        (shard,) = self._streams.describe_stream(StreamArn=self._stream)["StreamDescription"]["Shards"]
        self._shard = shard["ShardId"]

    def kill(self, mail: Mail) -> None:
        """A change is in a stream once."""
        self.books.write(Mail(mail.id, mail.temper))
        self.post(mail)

    def post(self, mail: Mail) -> None:
        self.books.give(mail.id)
        item: Any = {"id": {"S": mail.id}, "text": {"S": mail.text}}
        self._database.put_item(TableName=self.name, Item=item)
        number = self._last_number()
        record = {
            "requestContext": {"functionArn": self.arn},
            "note": mail.id,
            "DDBStreamBatchInfo": {
                "streamArn": self._stream,
                "shardId": self._shard,
                "startSequenceNumber": number,
                "endSequenceNumber": number,
                "approximateArrivalOfFirstRecord": format_instant(self.clock.now(UTC)),
                "batchSize": 1,
            },
        }
        self.hub.sqs.send_message(QueueUrl=self.dead.url, MessageBody=json.dumps(record))

    def _given(self, event: Any, _context: Any) -> None:
        (record,) = event["Records"]
        identity = record["dynamodb"]["Keys"]["id"]["S"]
        self.books.deliver(identity, COUNTED)
        if not self.consume(identity):
            raise ValueError("the function failed")

    def _last_number(self) -> str:
        iterator = self._streams.get_shard_iterator(
            StreamArn=self._stream, ShardId=self._shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found = self._streams.get_records(ShardIterator=iterator)["Records"]
        return str(found[-1]["dynamodb"]["SequenceNumber"])


class BusPost(Post):
    """Events that could not reach their rule's target, and go on the bus again."""

    def post(self, mail: Mail) -> None:
        event = {
            "source": "healthlake-hub",
            "detail-type": "Told",
            "time": "2026-01-01T00:00:00Z",
            "detail": {"text": mail.text},
        }
        self.hub.sqs.send_message(QueueUrl=self.dead.url, MessageBody=json.dumps(event))

    def work(self) -> None:
        with self._lock:
            told = [event for event in self.hub.bench.events if event["bus"] == BUS]
            for event in told[self._seen :]:
                identity = id_in(json.dumps(event["detail"]))
                self.books.deliver(identity, COUNTED)
                self.books.process(identity)
            self._seen = len(told)

    _seen = 0
