"""Queues of both accounts under many threads: what is sent, taken, deleted and moved at once is neither lost
nor doubled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.lambda_runtime.testing import Functions
from local.sqs import queue_lock
from local.sqs.testing import DEADLINE_SECONDS, create_queue, ended_task, let_die, send
from local.stepfunctions.work_threads import WorkThreads
from local.stepfunctions.workbench import Workbench

NOTHING = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
MESSAGES = 300
HANDS_ON = """
import os, boto3
sqs = boto3.client("sqs")
def handler(event, context):
    for record in event["Records"]:
        sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=record["body"])
"""


def test_what_changes_a_queue_waits_for_whoever_holds_it() -> None:
    lock, called = threading.RLock(), threading.Event()
    threads = WorkThreads()
    with lock:
        threads.start("caller", queue_lock.holding(lock, called.set))
        assert not called.wait(0.05)
    threads.join()
    assert called.is_set()


def test_messages_of_the_workbench_survive_senders_consumers_and_moves_at_once() -> None:
    done: list[str] = []

    def take(event: Any, context: Any) -> None:
        done.extend(record["body"] for record in event["Records"])

    with Workbench(NOTHING, {}, {"take": take}) as bench:
        sqs: Any = boto3.client("sqs")
        _, dead_arn = create_queue(sqs, "dead")
        url, _ = create_queue(sqs, "queue", dead_arn)
        send(sqs, url, [f"dead-{number}" for number in range(MESSAGES)])
        let_die(sqs, url)
        bench.connect_queue(url, "take")

        together(
            lambda: send(sqs, url, [f"new-{number}" for number in range(MESSAGES)]),
            lambda: sqs.start_message_move_task(SourceArn=dead_arn),
        )
        bench.wait_until(lambda: len(done) >= 2 * MESSAGES, DEADLINE_SECONDS)

    assert sorted(done) == sorted(f"{kind}-{n}" for kind in ("dead", "new") for n in range(MESSAGES))


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    parts = ("lambda_runtime", "sqs")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        yield account


def test_messages_of_the_account_survive_senders_consumers_and_moves_at_once(account: RunningAccount) -> None:
    sqs, functions = client(account, "sqs"), Functions(account)
    _, dead_arn = create_queue(sqs, "dead")
    url, arn = create_queue(sqs, "queue", dead_arn)
    done_url, done_arn = create_queue(sqs, "done")
    send(sqs, url, [f"dead-{number}" for number in range(MESSAGES)])
    let_die(sqs, url)
    taking = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    allowed = {"Effect": "Allow", "Action": [*taking, "sqs:SendMessage"], "Resource": [arn, done_arn]}
    functions.create(
        "hands-on",
        functions.role("hands-on", (allowed,)),
        HANDS_ON,
        Environment={"Variables": {"DONE": done_url}},
    )
    client(account, "lambda").create_event_source_mapping(
        FunctionName="hands-on", EventSourceArn=arn, BatchSize=10
    )

    together(
        lambda: send(sqs, url, [f"new-{number}" for number in range(MESSAGES)]),
        lambda: sqs.start_message_move_task(SourceArn=dead_arn),
    )
    ended_task(sqs, dead_arn)

    found: set[str] = set()
    while len(found) < 2 * MESSAGES:
        answer = sqs.receive_message(QueueUrl=done_url, MaxNumberOfMessages=10, WaitTimeSeconds=10)
        assert answer.get("Messages"), f"{len(found)} of {2 * MESSAGES} messages came"
        found |= {message["Body"] for message in answer["Messages"]}
    assert found == {f"{kind}-{n}" for kind in ("dead", "new") for n in range(MESSAGES)}


def together(*calls: Callable[[], Any]) -> None:
    """Make the calls at once, and wait for all."""
    threads = WorkThreads()
    for call in calls:
        threads.start("together", call)
    threads.join()
