"""Dead letters of functions, rules, streams and the bus: see `local.soak.redrive.posts`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import boto3

from common.instants import format_instant
from local.soak.redrive.books import COUNTED
from local.soak.redrive.mail import Mail, id_in
from local.soak.redrive.posts import Post
from local.testing.mocked_hub import ACCOUNT, BUS, REGION


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
