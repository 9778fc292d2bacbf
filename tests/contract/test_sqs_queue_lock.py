"""Queues of both accounts under many threads: what is sent, taken, deleted and moved at once is neither lost
nor doubled."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.sqs.models import sqs_backends

from local.sqs import queue_lock
from local.sqs.testing import create_queue, let_die, send
from local.stepfunctions.work_threads import WorkThreads
from local.stepfunctions.workbench import ACCOUNT, REGION, Workbench
from local.testing.patience import PATIENCE_SECONDS

NOTHING = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
MESSAGES = 300
ROOT = Path(__file__).resolve().parents[2]


def test_what_changes_a_queue_waits_for_whoever_holds_it() -> None:
    lock, called = threading.RLock(), threading.Event()
    threads = WorkThreads()
    with lock:
        threads.start("caller", queue_lock.holding(lock, called.set))
        assert not called.wait(0.05)
    threads.join()
    assert called.is_set()


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("restless")
def test_motos_queues_neither_lose_nor_double_messages() -> None:
    taken: list[str] = []

    def consume() -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(taken) < 3 * MESSAGES and time.monotonic() < deadline:
            for message in backend.receive_message("q", 10, 0, 30):
                taken.append(message.body)
                backend.delete_message("q", message.receipt_handle)

    with Workbench(NOTHING, {}, {}):
        backend = sqs_backends[ACCOUNT][REGION]
        queue = backend.create_queue("q")
        senders = [functools.partial(send_through, backend, name) for name in ("a", "b", "c")]
        together(*senders, consume, consume, consume)

        assert (len(set(taken)), len(taken), queue._messages) == (3 * MESSAGES, 3 * MESSAGES, [])


def send_through(backend: Any, sender: str) -> None:
    for number in range(MESSAGES):
        backend.send_message("q", f"{sender}-{number}")


def test_messages_survive_senders_consumers_and_moves_at_once() -> None:
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
        bench.wait_until(lambda: len(done) >= 2 * MESSAGES, PATIENCE_SECONDS)

    assert sorted(done) == sorted(f"{kind}-{n}" for kind in ("dead", "new") for n in range(MESSAGES))


HAMMERED = """
import asyncio, sys, threading, time
from ministack.services import sqs
from local.sqs import queue_lock

queue_lock.register()
sys.setswitchinterval(1e-6)
url = sqs._HANDLERS["CreateQueue"]({"QueueName": "q"}, "")["QueueUrl"]
taken, stop = [], threading.Event()

def send(sender):
    for number in range(1000):
        sqs._HANDLERS["SendMessage"]({"QueueUrl": url, "MessageBody": f"{sender}-{number}"}, url)

def poll():
    while not stop.is_set():
        messages = sqs._receive_messages_for_esm(url, 10)
        taken.extend(message["body"] for message in messages)
        sqs._delete_messages_for_esm(url, {message["receipt_handle"] for message in messages})

def consume():
    while not stop.is_set():
        receive = sqs._HANDLERS["ReceiveMessage"]({"QueueUrl": url, "MaxNumberOfMessages": 10}, url)
        for message in asyncio.run(receive).get("Messages", []):
            taken.append(message["Body"])
            sqs._HANDLERS["DeleteMessage"]({"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}, url)

senders = [threading.Thread(target=send, args=(sender,)) for sender in range(3)]
consumers = [threading.Thread(target=target) for target in (poll, poll, consume)]
for thread in (*consumers, *senders):
    thread.start()
for thread in senders:
    thread.join()
deadline = time.monotonic() + 120
while len(set(taken)) < 3000 and time.monotonic() < deadline:
    time.sleep(0.01)
stop.set()
for thread in consumers:
    thread.join()
print(len(set(taken)), len(taken), len(sqs._queues[url]["messages"]))
"""


def test_ministacks_handlers_and_pollers_neither_lose_nor_double_messages() -> None:
    # a process of its own: ministack is changed for good
    command = [sys.executable, "-c", HAMMERED]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["3000", "3000", "0"], ran.stderr[-2000:]


def together(*calls: Callable[[], Any]) -> None:
    """Make the calls at once, and wait for all."""
    threads = WorkThreads()
    for call in calls:
        threads.start("together", call)
    threads.join()
