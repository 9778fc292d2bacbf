"""The demo's dead letters: what the consumer can do, where messages die, and where each was met."""

from dataclasses import replace
from typing import Any

import pytest

from dlq_redrive.dead_letter import REDRIVE_ATTRIBUTE
from dlq_redrive.dead_letter_quarantine import DeadLetterQuarantine, QuarantinedLetter
from dlq_redrive.queue_discovery import find_dead_letter_queues
from local.cli.operations.hub import DeployedHub
from local.demo.consumer import Deliveries
from local.demo.consumer_queues import MOST_RECEIVES, ConsumerQueues, sender_attributes
from local.demo.messages import MESSAGES, POISON, Unreadable, handle, sample_messages
from local.demo.redrive import in_quarantine
from local.demo.redrive_count import RedriveCount
from local.testing.mocked_hub import BUCKET, REGION

SENT = frozenset({"one", "two", "three"})
ADDS_UP = RedriveCount(
    sent=SENT,
    poison=frozenset({"three"}),
    dead=SENT,
    by_sqs=SENT,
    one_by_one=frozenset({"three"}),
    processed=frozenset({"one", "two"}),
    quarantined=frozenset({"three"}),
    emptied=True,
)


def delivered(number: int, *, marked: bool = False) -> dict[str, Any]:
    """A message of the sample as it is received."""
    return {
        "Body": sample_messages()[number - 1].body,
        "MessageAttributes": {REDRIVE_ATTRIBUTE: {"StringValue": "1"}} if marked else {},
    }


def received(hub: DeployedHub, url: str) -> list[dict[str, Any]]:
    """Every message that a queue gives now, each given back at once."""
    seen: list[dict[str, Any]] = []
    while len(seen) < MESSAGES:
        answer = hub.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=9)
        if not answer.get("Messages"):
            break
        seen += answer["Messages"]
    for one in seen:
        hub.client("sqs").change_message_visibility(
            QueueUrl=url, ReceiptHandle=one["ReceiptHandle"], VisibilityTimeout=0
        )
    return seen


def test_each_message_can_be_handled_but_the_poison() -> None:
    failed = []
    for number, message in enumerate(sample_messages(), start=1):
        try:
            handle(message.body)
        except Unreadable:
            failed.append(number)

    assert tuple(failed) == POISON
    assert len({message.id for message in sample_messages()}) == MESSAGES


def test_a_broken_consumer_can_do_nothing_and_a_mended_one_all_but_poison() -> None:
    deliveries = Deliveries()
    batch = [delivered(1), delivered(POISON[0])]

    broken = deliveries.take(batch)
    deliveries.mend()
    mended = deliveries.take(batch)

    assert (broken, mended) == ([False, False], [True, False])
    assert deliveries.processed == {"message-01"}


def test_what_comes_back_is_told_apart_by_the_mark_of_a_counted_redrive() -> None:
    deliveries = Deliveries()
    deliveries.mend()

    deliveries.take([delivered(1), delivered(2, marked=True)])

    assert deliveries.by_sqs == {"message-01"}
    assert deliveries.one_by_one == {"message-02"}


def test_the_dead_letter_queue_is_found_as_one_of_the_stack(hub: DeployedHub) -> None:
    queues = ConsumerQueues(hub)

    (found,) = find_dead_letter_queues(hub.client("sqs"), hub.stack_name).queues

    assert (found.name, found.kind) == (queues.dead_letters_name, "sqs")
    assert [arn.rpartition(":")[2] for arn in found.sources] == [queues.url.rpartition("/")[2]]


def test_a_message_that_was_taken_too_often_is_dead_and_stays_so_when_it_is_looked_at(
    hub: DeployedHub,
) -> None:
    queues = ConsumerQueues(hub)
    queues.send(sample_messages()[:12])
    for _ in range(MOST_RECEIVES):
        assert len(received(hub, queues.url)) == 12
    received(hub, queues.url)

    looks = [queues.dead_ids() for _ in range(2)]

    assert (queues.waiting(), queues.dead()) == (0, 12)
    assert looks == [{message.id for message in sample_messages()[:12]}] * 2


@pytest.mark.parametrize(
    ("changed", "whole"),
    [({}, True), ({"body": sample_messages()[0].body + " "}, False), ({"message_attributes": {}}, False)],
)
def test_a_letter_counts_as_quarantined_when_it_is_there_as_it_was_sent(
    hub: DeployedHub, changed: dict[str, Any], whole: bool
) -> None:
    message = sample_messages()[0]
    mark = {REDRIVE_ATTRIBUTE: {"DataType": "Number", "StringValue": "1"}}
    letter = QuarantinedLetter(
        queue_arn=f"arn:aws:sqs:{REGION}:123456789012:hub-DemoDeadLetterQueue",
        kind="sqs",
        message_id="message",
        identity="0" * 64,
        body=message.body,
        message_attributes={**sender_attributes(), **mark},
        attributes={},
        first_failed_at="2026-03-01T12:00:00.000Z",
        last_failed_at="2026-03-01T12:00:00.000Z",
        redrives=1,
        history=(),
        reason="REDRIVEN_TOO_OFTEN",
        quarantined_at="2026-03-01T12:00:00.000Z",
    )
    DeadLetterQuarantine(hub.client("s3"), BUCKET).put(replace(letter, **changed))

    found = in_quarantine(hub, "hub-DemoDeadLetterQueue", sample_messages())

    assert found == ({message.id} if whole else set())


def test_a_redrive_that_adds_up_passes_every_check() -> None:
    assert [check.name for check in ADDS_UP.checks() if not check.holds] == []


def test_the_counts_are_of_distinct_ids() -> None:
    assert ADDS_UP.document() == {
        "sent": 3,
        "dead": 3,
        "redriven": 3,
        "processed": 2,
        "quarantined": 1,
        "lost": 0,
    }


@pytest.mark.parametrize(
    ("wrong", "checks"),
    [
        ({"dead": frozenset()}, {"every message died"}),
        ({"by_sqs": frozenset({"one", "three"})}, {"every dead letter came back"}),
        ({"one_by_one": SENT}, {"SQS moved all of them back, and what died again came one by one"}),
        ({"processed": frozenset({"one"})}, {"sent = processed + quarantined", "none is lost"}),
        ({"quarantined": frozenset({"two"})}, {"in quarantine is what can never be read, whole"}),
        ({"processed": SENT}, {"sent = processed + quarantined"}),
        ({"emptied": False}, {"nothing waits in either queue"}),
    ],
)
def test_a_message_that_is_missing_or_in_two_places_fails_a_check(
    wrong: dict[str, Any], checks: set[str]
) -> None:
    failed = {check.name for check in replace(ADDS_UP, **wrong).checks() if not check.holds}

    assert {f"dead letters: {name}" for name in checks} <= failed


def test_messages_that_never_were_sent_are_no_redrive() -> None:
    assert not all(check.holds for check in RedriveCount(emptied=True).checks())
