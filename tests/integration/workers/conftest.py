"""A queue with its dead letters, a table of jobs and a bucket in a local account, and workers as
processes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from local.account.clients import client
from local.account.lifecycle import REPOSITORY
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.workers.process import WorkerProcess
from local.workers.settings import worker_settings

RULE = "upload-arrived"
PATIENTS = b'{"resourceType":"Patient","id":"p1"}\n{"resourceType":"Patient","id":"p2"}\n'
QUICK = {"WAIT_SECONDS": "1", "VISIBILITY_SECONDS": "5", "DRAIN_SECONDS": "3", "RETRY_SECONDS": "0"}
MOST_TRIES = 3


@dataclass(frozen=True)
class JobsAccount:
    """What workers work on. `uploaded` stands for everything before them: upload, notification,
    transition."""

    running: RunningAccount
    name: str
    queue_url: str
    dead_letters_url: str

    def client(self, service: str) -> Any:
        return client(self.running, service)

    def upload(
        self, key: str, content: bytes = PATIENTS, sequencer: str = "0055AED6DCD90281E5"
    ) -> dict[str, Any]:
        """Put an object and its item; returns the message of its transition, not sent yet."""
        put = self.client("s3").put_object(Bucket=self.name, Key=key, Body=content)
        item = {
            "id": f"UPLOAD#{sha256(key.encode()).hexdigest()}",
            "itemType": "Upload",
            "phase": "UPLOADED",
            "bucket": self.name,
            "key": key,
            "etag": put["ETag"].strip('"'),
            "versionId": put["VersionId"],
            "sequencer": sequencer,
        }
        self.client("dynamodb").put_item(
            TableName=self.name, Item={name: {"S": value} for name, value in item.items()}
        )
        carried = ("bucket", "key", "etag", "versionId", "sequencer")
        return {
            "transitionId": sha256(f"{RULE} {item['id']} {sequencer}".encode()).hexdigest(),
            "rule": RULE,
            "itemType": "Upload",
            "key": {"id": item["id"]},
            "sequenceNumber": "100000000000000000001",
            "attributes": {name: item[name] for name in carried},
        }

    def send(self, message: Mapping[str, Any], group: str | None = None) -> None:
        """Send a message; each time anew for SQS, as after five minutes."""
        self.client("sqs").send_message(
            QueueUrl=self.queue_url,
            MessageBody=json.dumps(message),
            MessageGroupId=group or sha256(json.dumps(message.get("key", {})).encode()).hexdigest(),
            MessageDeduplicationId=uuid.uuid4().hex,
        )

    def submit(self, key: str, content: bytes = PATIENTS) -> str:
        """Upload and send; returns the id of the job's item."""
        message = self.upload(key, content)
        self.send(message)
        return f"JOB#{message['transitionId']}"

    def item(self, item_id: str) -> dict[str, Any] | None:
        answer = self.client("dynamodb").get_item(
            TableName=self.name, Key={"id": {"S": item_id}}, ConsistentRead=True
        )
        found: dict[str, Any] | None = answer.get("Item")
        return found

    def phase(self, item_id: str) -> str | None:
        item = self.item(item_id)
        return item["phase"]["S"] if item else None

    def jobs(self) -> list[dict[str, Any]]:
        """The items of jobs."""
        items = self.client("dynamodb").scan(TableName=self.name, ConsistentRead=True)["Items"]
        return [item for item in items if item["itemType"]["S"] == "Job"]

    def left(self) -> int:
        """Messages in the queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        values = self.client("sqs").get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return sum(int(values["Attributes"][name]) for name in names)

    def dead(self) -> int:
        """Messages in the dead-letter queue."""
        name = "ApproximateNumberOfMessages"
        values = self.client("sqs").get_queue_attributes(
            QueueUrl=self.dead_letters_url, AttributeNames=[name]
        )
        return int(values["Attributes"][name])

    def settings(self, **more: str) -> dict[str, str]:
        """The environment of a worker."""
        outputs = {"JobsQueueUrl": self.queue_url, "JobsTableName": self.name}
        return worker_settings(self.running, "hub", outputs, {**QUICK, **more})


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("workers"), auth=False, parts=()) as running:
        yield running


@pytest.fixture
def account(running: RunningAccount) -> JobsAccount:
    """New for each test."""
    name = f"jobs-{uuid.uuid4().hex[:8]}"
    maker = JobsAccount(running, name, "", "")
    sqs = maker.client("sqs")
    fifo = {"FifoQueue": "true"}
    dead = sqs.create_queue(QueueName=f"{name}-dead.fifo", Attributes=fifo)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MOST_TRIES})
    url = sqs.create_queue(QueueName=f"{name}.fifo", Attributes={**fifo, "RedrivePolicy": redrive})[
        "QueueUrl"
    ]
    s3 = maker.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    maker.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return JobsAccount(running, name, url, dead)


@pytest.fixture
def start() -> Iterator[Callable[[Mapping[str, str]], WorkerProcess]]:
    """Starts workers, which end with the test."""
    workers: list[WorkerProcess] = []

    def start(settings: Mapping[str, str]) -> WorkerProcess:
        workers.append(WorkerProcess(Path(REPOSITORY), settings))
        return workers[-1]

    yield start
    for worker in workers:
        worker.__exit__()
