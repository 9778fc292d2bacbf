"""A worker that dies before or after any of its calls, messages that come again, and uploads that move on:
each transition has its effect once, and what is not done is recorded."""

from __future__ import annotations

import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from hub_worker.commits import Commits, Effect
from hub_worker.drain import Drain
from hub_worker.errors import JobTooLong, ReceiptLost
from hub_worker.health import Health
from hub_worker.jobs import JOBS, Work
from hub_worker.jobs_queue import JobsQueue, Received
from hub_worker.lease import Lease
from hub_worker.logs import Log
from hub_worker.loop import Worker
from hub_worker.messages import JobMessage
from hub_worker.metrics import Metrics
from local.testing.mocked_hub import CREDENTIALS, REGION
from local.testing.moto_dynamodb import atomic_writes
from local.testing.patience import PATIENCE_SECONDS

STEPS = ("receive_message", "get_item", "head_object", "get_object", "transact_write_items", "delete_message")
NAME = "jobs"
KEY = "uploads/clinic/1.ndjson"
UPLOAD = f"UPLOAD#{sha256(KEY.encode()).hexdigest()}"
TRANSITION = "ab" * 32


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Spied:
    """A client that notes its calls, and lets the process die before or after one of them."""

    client: Any
    calls: list[str]
    dies: tuple[str, str] | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append(name)
            if self.dies == ("before", name):
                raise Killed
            answer = getattr(self.client, name)(**arguments)
            if self.dies == ("after", name):
                raise Killed
            return answer

        return call


@dataclass
class Bench:
    """A queue, a table and a bucket in moto, and workers in this process."""

    queue_url: str
    calls: list[str] = field(default_factory=list)
    written: io.StringIO = field(default_factory=io.StringIO)

    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = boto3.client(service, REGION)  # type: ignore[call-overload]
        return self.clients[service]

    def worker(self, dies: tuple[str, str] | None = None, now: datetime | None = None) -> Worker:
        spied = {name: Spied(self.client(name), self.calls, dies) for name in ("sqs", "s3", "dynamodb")}
        log = Log("hub", "worker", self.written)
        clock = {"now": lambda: now} if now else {}
        return Worker(
            queue=JobsQueue(spied["sqs"], self.queue_url, visibility=60, wait=0, retry=0),  # type: ignore[arg-type]
            commits=Commits(spied["dynamodb"], NAME, "worker", **clock),  # type: ignore[arg-type]
            s3=spied["s3"],  # type: ignore[arg-type]
            jobs=JOBS,
            drain=Drain(),
            health=Health(60),
            metrics=Metrics("hub", log.document),
            log=log,
            max_job=600,
            until_empty=True,
        )

    def upload(
        self, sequencer: str = "01", content: bytes = b'{"resourceType":"Patient"}\n'
    ) -> dict[str, Any]:
        put = self.client("s3").put_object(Bucket=NAME, Key=KEY, Body=content)
        carried = {
            "bucket": NAME,
            "key": KEY,
            "etag": put["ETag"].strip('"'),
            "versionId": put["VersionId"],
            "sequencer": sequencer,
        }
        item = {"id": UPLOAD, "itemType": "Upload", "phase": "UPLOADED", **carried}
        self.client("dynamodb").put_item(
            TableName=NAME, Item={name: {"S": value} for name, value in item.items()}
        )
        return {
            "transitionId": TRANSITION,
            "rule": "upload-arrived",
            "itemType": "Upload",
            "key": {"id": UPLOAD},
            "sequenceNumber": "1",
            "attributes": carried,
        }

    def send(self, message: dict[str, Any]) -> None:
        self.client("sqs").send_message(
            QueueUrl=self.queue_url,
            MessageBody=json.dumps(message),
            MessageGroupId="group",
            MessageDeduplicationId=uuid.uuid4().hex,
        )

    def show_again(self) -> None:
        """Let the visibility timeout of every message be over."""
        from moto.sqs import sqs_backends

        for queue in sqs_backends["123456789012"][REGION].queues.values():
            for message in queue._messages:
                message.change_visibility(0)
            queue._pending_messages.clear()

    def items(self) -> dict[str, dict[str, Any]]:
        found = self.client("dynamodb").scan(TableName=NAME, ConsistentRead=True)["Items"]
        return {item["id"]["S"]: item for item in found}

    def job(self) -> dict[str, Any]:
        """The only item of a job."""
        ((_, job),) = [(key, item) for key, item in self.items().items() if key.startswith("JOB#")]
        return job

    def left(self) -> int:
        self.show_again()
        name = "ApproximateNumberOfMessages"
        queue = self.client("sqs").get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=[name])
        return int(queue["Attributes"][name])

    def counted(self, name: str) -> float:
        """A metric, as far as it was written."""
        lines = [json.loads(line) for line in self.written.getvalue().splitlines()]
        return sum(float(line.get(name, 0)) for line in lines if "_aws" in line)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws(), atomic_writes():
        sqs, s3 = boto3.client("sqs", REGION), boto3.client("s3", REGION)
        url = sqs.create_queue(QueueName=f"{NAME}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        s3.create_bucket(Bucket=NAME)
        s3.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})
        boto3.client("dynamodb", REGION).create_table(
            TableName=NAME,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        yield Bench(url)


def test_the_steps_of_a_job_are_those_that_the_tests_know(bench: Bench) -> None:
    bench.send(bench.upload())
    bench.worker().run()

    assert tuple(bench.calls[: len(STEPS)]) == STEPS
    assert bench.calls[len(STEPS) :] == ["receive_message"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_job_is_done_once_wherever_a_worker_was_killed(bench: Bench, step: str, when: str) -> None:
    bench.send(bench.upload())
    with pytest.raises(Killed):
        bench.worker(dies=(when, step)).run()
    first = bench.items().get(f"JOB#{TRANSITION}")

    bench.show_again()
    bench.worker().run()

    assert bench.job()["phase"] == {"S": "DONE"}
    assert first in (None, bench.job())
    assert bench.items()[UPLOAD]["phase"] == {"S": "PROCESSED"}
    assert bench.left() == 0


def test_a_message_that_comes_again_long_after_changes_nothing(bench: Bench) -> None:
    message = bench.upload()
    bench.send(message)
    bench.worker().run()
    done = bench.items()

    bench.send(message)
    bench.worker(now=datetime.now(UTC) + timedelta(hours=3)).run()

    assert bench.items() == done
    assert (bench.left(), bench.counted("JobsDone")) == (0, 1)


def test_of_two_workers_with_the_same_message_one_commits(bench: Bench) -> None:
    """As after a visibility timeout that was lost: each of them has read everything before either commits."""
    message = bench.upload()
    bench.send(message)
    bench.send(message)
    both = threading.Barrier(2)

    def work(now: datetime) -> None:
        worker = bench.worker(now=now)
        commit = worker.commits.commit

        def commit_together(*arguments: Any, **more: Any) -> Any:
            both.wait(PATIENCE_SECONDS)
            return commit(*arguments, **more)

        object.__setattr__(worker.commits, "commit", commit_together)
        received = bench.client("sqs").receive_message(QueueUrl=bench.queue_url)["Messages"][0]
        bench.show_again()
        worker._take(
            Received(received["MessageId"], received["ReceiptHandle"], received["Body"], 1), worker.clock()
        )
        worker.metrics.flush()

    # Their clocks are days apart.
    clocks = (datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC))
    threads = [threading.Thread(target=work, args=(now,)) for now in clocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    assert bench.job()["phase"] == {"S": "DONE"}
    assert bench.counted("JobsDone") == 1


def test_a_job_of_an_upload_that_was_replaced_is_recorded_as_superseded_once(bench: Bench) -> None:
    message = bench.upload(sequencer="01")
    bench.upload(sequencer="02", content=b"newer")
    bench.send(message)
    bench.send(message)

    bench.worker().run()

    assert bench.job()["phase"] == {"S": "SUPERSEDED"}
    assert bench.items()[UPLOAD]["phase"] == {"S": "UPLOADED"}
    assert (bench.left(), bench.counted("JobsSuperseded")) == (0, 1)


def test_a_job_whose_object_is_gone_fails_with_the_reason_and_leaves_no_message(bench: Bench) -> None:
    message = bench.upload()
    version = message["attributes"]["versionId"]
    bench.client("s3").delete_object(Bucket=NAME, Key=KEY, VersionId=version)
    bench.send(message)

    bench.worker().run()

    assert (bench.job()["phase"], bench.job()["reason"]) == ({"S": "FAILED"}, {"S": "object-gone"})
    upload = bench.items()[UPLOAD]
    assert (upload["phase"], upload["reason"]) == ({"S": "FAILED"}, {"S": "object-gone"})
    assert (bench.left(), bench.counted("JobsFailed")) == (0, 1)


def test_attributes_that_were_too_large_to_travel_are_fetched(bench: Bench) -> None:
    message = bench.upload()
    key, content = "transitions/attributes/1.json", json.dumps(message.pop("attributes")).encode()
    bench.client("s3").put_object(Bucket=NAME, Key=key, Body=content)
    bench.send({**message, "reference": {"bucket": NAME, "key": key, "length": len(content)}})

    bench.worker().run()

    assert bench.job()["phase"] == {"S": "DONE"}


def test_an_item_with_ten_items_is_taken_as_a_batch(bench: Bench) -> None:
    message = {**bench.upload(), "rule": "tenth-item", "attributes": {"items": list(range(10))}}
    bench.send(message)

    bench.worker().run()

    assert bench.job()["result"] == {"M": {"items": {"N": "10"}}}


def test_no_content_of_an_upload_is_in_its_job_or_the_log(bench: Bench) -> None:
    bench.send(
        bench.upload(content=b'{"resourceType":"Marked-Content"}\n{"resourceType":"Patient","id":"Marked')
    )
    bench.worker().run()

    assert bench.job()["result"]["M"]["resourceTypes"] == {"M": {"other": {"N": "1"}}}
    assert "Marked" not in json.dumps(bench.job()) + bench.written.getvalue()
    assert KEY not in bench.written.getvalue()


def test_an_error_that_nobody_expected_is_told_by_its_place_and_not_by_its_text(bench: Bench) -> None:
    class Broken:
        def run(self, work: Work) -> Effect:
            raise ValueError("Marked content")

        def failed(self, message: JobMessage, reason: str) -> None:
            return None

    bench.send(bench.upload())
    worker = bench.worker()
    worker.jobs = {"upload-arrived": Broken()}
    worker._take(worker.queue.receive() or pytest.fail("nothing there"), worker.clock())

    line = json.loads(bench.written.getvalue())
    assert (line["reason"], line["where"].partition(":")[0]) == ("ValueError", Path(__file__).name)
    assert "Marked" not in bench.written.getvalue()
    assert bench.left() == 1


def lease_at(times: list[float], queue: Any, max_job: float = 100) -> Lease:
    received = Received("id", "receipt", "{}", 1)
    hidden = JobsQueue(queue, "url", visibility=30, wait=0, retry=1)
    return Lease(hidden, received, 0.0, max_job, Log("hub", "worker", io.StringIO()), lambda: times[-1])


def test_a_message_is_held_from_when_the_last_heartbeat_was_sent(bench: Bench) -> None:
    class Taken:
        def change_message_visibility(self, **_: object) -> None:
            times.append(29.0)

    times = [20.0]
    lease = lease_at(times, Taken())
    lease.beat()
    times.append(49.9)
    lease.check()
    times.append(50.0)
    with pytest.raises(ReceiptLost):
        lease.check()


def test_a_job_may_not_be_longer_than_the_longest(bench: Bench) -> None:
    times = [0.0]
    lease = lease_at(times, None, max_job=10)
    lease.check()
    times.append(10.0)
    with pytest.raises(JobTooLong):
        lease.check()


def test_heartbeats_that_do_not_arrive_leave_the_message_to_others_in_time(bench: Bench) -> None:
    times = [0.0]
    lease = lease_at(times, Spied(bench.client("sqs"), []))
    times.append(25.0)
    lease.beat()
    times.append(31.0)
    with pytest.raises(ReceiptLost):
        lease.check()


@pytest.mark.parametrize(("tries", "seconds"), [(1, 5), (2, 10), (5, 80), (50, 450)])
def test_each_try_waits_longer_than_the_one_before_up_to_a_quarter_of_an_hour(
    bench: Bench, tries: int, seconds: int
) -> None:
    class Taken:
        def change_message_visibility(self, **_: object) -> None:
            return None

    queue = JobsQueue(Taken(), "url", visibility=60, wait=0, retry=10, draw=lambda: 0.0)  # type: ignore[arg-type]
    assert queue.try_again_later(replace(Received("id", "receipt", "{}", 1), tries=tries)) == seconds
