"""The real program as a process: jobs flow, nothing is done twice, and it ends in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from local.account.state_file import RunningAccount
from local.testing.fake_instance import fake_instance
from local.testing.held_s3 import HeldS3, held_s3
from local.testing.patience import PATIENCE_SECONDS
from local.workers.process import WorkerProcess

if TYPE_CHECKING:
    from tests.integration.workers.conftest import JobsAccount

Start = Callable[[Mapping[str, str]], WorkerProcess]
ENDED = "A job has ended."


@pytest.fixture
def s3(running: RunningAccount) -> Iterator[HeldS3]:
    with held_s3(running.port) as held:
        yield held


def eventually(holds: Callable[[], object]) -> None:
    """Wait until it holds; raises AssertionError when it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.05)


def test_a_job_flows_from_the_queue_to_its_item(account: JobsAccount, start: Start) -> None:
    message = account.upload("uploads/clinic/a file+ü.ndjson")
    account.send(message)

    worker = start(account.settings(UNTIL_EMPTY="1", WAIT_SECONDS="0"))

    assert worker.ended() == 0
    (job,) = account.jobs()
    assert (job["phase"], job["rule"]) == ({"S": "DONE"}, {"S": "upload-arrived"})
    assert job["result"]["M"]["resourceTypes"] == {"M": {"Patient": {"N": "2"}}}
    assert account.phase(message["key"]["id"]) == "PROCESSED"
    assert account.left() == 0
    (metrics,) = [line for line in worker.heard if "_aws" in line and "JobsDone" in line]
    assert (metrics["service"], metrics["JobsDone"]) == ("hub", 1)


def test_a_job_in_the_middle_of_which_a_worker_is_killed_is_done_once(
    account: JobsAccount, start: Start, s3: HeldS3
) -> None:
    job = account.submit("uploads/clinic/1.ndjson")
    killed = start(account.settings(AWS_ENDPOINT_URL_S3=s3.endpoint, VISIBILITY_SECONDS="1"))
    assert s3.reached.wait(PATIENCE_SECONDS)

    killed.kill()
    second = start(account.settings(WAIT_SECONDS="4"))

    assert second.wait_for(ENDED)["outcome"] == "DONE"
    assert [one["id"]["S"] for one in account.jobs()] == [job]
    assert account.left() == 0


def test_a_worker_that_is_told_to_end_finishes_its_job_and_takes_no_other(
    account: JobsAccount, start: Start, s3: HeldS3
) -> None:
    job = account.submit("uploads/clinic/1.ndjson")
    worker = start(account.settings(AWS_ENDPOINT_URL_S3=s3.endpoint, DRAIN_SECONDS="15"))
    assert s3.reached.wait(PATIENCE_SECONDS)
    account.submit("uploads/clinic/2.ndjson")

    worker.drain()
    s3.go_on.set()

    assert worker.ended() == 0
    assert [one["id"]["S"] for one in account.jobs()] == [job]
    assert account.left() == 1


def test_a_job_that_there_is_no_time_for_is_handed_back_at_once(
    account: JobsAccount, start: Start, s3: HeldS3
) -> None:
    account.submit("uploads/clinic/1.ndjson")
    held = {"VISIBILITY_SECONDS": "600", "AWS_ENDPOINT_URL_S3": s3.endpoint, "DRAIN_SECONDS": "0"}
    worker = start(account.settings(**held))
    assert s3.reached.wait(PATIENCE_SECONDS)

    worker.drain()
    s3.go_on.set()
    assert worker.ended() == 0

    taken = account.client("sqs").receive_message(QueueUrl=account.queue_url)
    assert (len(taken["Messages"]), account.jobs()) == (1, [])


def test_a_worker_that_stood_still_while_another_did_its_job_commits_nothing(
    account: JobsAccount, start: Start, s3: HeldS3
) -> None:
    job = account.submit("uploads/clinic/1.ndjson")
    frozen = start(account.settings(AWS_ENDPOINT_URL_S3=s3.endpoint, VISIBILITY_SECONDS="1"))
    assert s3.reached.wait(PATIENCE_SECONDS)

    frozen.send(signal.SIGSTOP)
    other = start(account.settings(WAIT_SECONDS="4"))
    other.wait_for(ENDED)
    s3.go_on.set()
    frozen.send(signal.SIGCONT)
    frozen.wait_for("A message was visible again; its job is left to others.")

    (done,) = account.jobs()
    assert (done["id"]["S"], done["worker"]["S"].endswith(f":{other.pid}")) == (job, True)


def test_a_job_that_takes_longer_than_a_message_is_hidden_stays_with_its_worker(
    account: JobsAccount, start: Start, s3: HeldS3
) -> None:
    account.submit("uploads/clinic/1.ndjson")
    busy = start(account.settings(AWS_ENDPOINT_URL_S3=s3.endpoint, VISIBILITY_SECONDS="5"))
    assert s3.reached.wait(PATIENCE_SECONDS)

    taken = account.client("sqs").receive_message(QueueUrl=account.queue_url, WaitTimeSeconds=7)
    s3.go_on.set()

    assert "Messages" not in taken
    assert busy.wait_for(ENDED)["outcome"] == "DONE"


def test_a_poison_message_ends_among_the_dead_letters_and_stops_nobody_behind_it(
    account: JobsAccount, start: Start
) -> None:
    account.send({"transitionId": "0" * 64, "rule": "upload-arrived"}, group="poison")
    account.send({**account.upload("uploads/x"), "rule": "unheard-of"}, group="unknown")
    job = account.submit("uploads/clinic/1.ndjson")

    start(account.settings()).wait_for(ENDED)

    assert account.phase(job) == "DONE"
    eventually(lambda: (account.left(), account.dead()) == (0, 2))


def test_two_workers_share_the_jobs_and_each_job_is_done_once(account: JobsAccount, start: Start) -> None:
    jobs = {account.submit(f"uploads/clinic/{number}.ndjson") for number in range(4)}

    started = [start(account.settings(UNTIL_EMPTY="1", WAIT_SECONDS="0")) for _ in range(2)]

    assert [worker.ended() for worker in started] == [0, 0]
    assert {one["id"]["S"] for one in account.jobs()} == jobs
    assert all(one["phase"]["S"] == "DONE" for one in account.jobs())


def test_the_notice_of_a_spot_interruption_drains_the_worker(account: JobsAccount, start: Start) -> None:
    with fake_instance() as instance:
        settings = account.settings(METADATA_ENDPOINT=instance.endpoint, METADATA_MILLISECONDS="50")
        worker = start(settings).ready()
        instance.interrupt()

        assert worker.wait_for("The worker drains.")["reason"] == "spot-interruption"
        assert worker.ended() == 0
        assert worker.heard[-1]["worker"] == "i-0123456789abcdef0"


def test_health_says_that_a_worker_is_well_and_that_one_is_stuck(
    account: JobsAccount, start: Start, s3: HeldS3
) -> None:
    worker = start(account.settings(AWS_ENDPOINT_URL_S3=s3.endpoint, STUCK_SECONDS="1")).ready()
    assert worker.health()[0] == 200

    account.submit("uploads/clinic/1.ndjson")
    assert s3.reached.wait(PATIENCE_SECONDS)
    eventually(lambda: worker.health()[0] != 200)

    status, document = worker.health()
    assert (status, document["state"]) == (503, "stuck")


def test_a_worker_without_its_settings_names_the_first_that_is_missing(
    account: JobsAccount, start: Start
) -> None:
    worker = start({**account.settings(), "JOBS_TABLE": ""})

    assert worker.ended() == 78
    assert worker.heard[0]["message"].startswith("The setting JOBS_TABLE is missing")
