"""Which queues are redriven, how, and what is refused."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from common.errors import InvalidInput
from dlq_redrive.errors import QueueGone, RedriveDenied
from dlq_redrive.queue_discovery import Found
from dlq_redrive.redrive_planning import (
    Circumstances,
    broken_rule,
    chosen_queues,
    leads_nowhere,
    mode_of,
    redrives_left,
    require_own_destination,
    require_redrives_left,
    why_not_bulk,
)
from dlq_redrive.redrive_request import RedriveRequest

WORK = "arn:aws:sqs:us-east-1:123456789012:hub-work"
A_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function"
FUNCTION = f"{A_FUNCTION}:clean"
DEAD = "arn:aws:sqs:us-east-1:123456789012:hub-dead"


def test_no_queue_named_is_all_of_them(queue_of: Any) -> None:
    queues = [queue_of(), queue_of("rule", fifo=True)]
    assert chosen_queues(RedriveRequest(), queues) == queues
    assert chosen_queues(RedriveRequest(queue_arn=DEAD), queues) == queues[:1]


def test_kinds_that_are_named_leave_the_others_alone(queue_of: Any) -> None:
    queues = [queue_of(), queue_of("pipe"), queue_of("stream")]
    assert chosen_queues(RedriveRequest(kinds=("stream", "pipe")), queues) == queues[1:]


def test_a_queue_of_another_stack_is_refused(queue_of: Any) -> None:
    with pytest.raises(InvalidInput, match="no dead-letter queue of this stack"):
        chosen_queues(RedriveRequest(queue_arn=WORK), [queue_of()])


def test_the_alarm_of_another_stack_is_about_no_queue(queue_of: Any) -> None:
    assert chosen_queues(RedriveRequest(queue_arn=WORK, started_by="alarm"), [queue_of()]) == []


@pytest.mark.parametrize(
    ("kind", "sources", "asked", "rule"),
    [
        ("sqs", (WORK,), {}, None),
        ("sqs", (WORK,), {"mode": "bulk"}, None),
        ("sqs", (), {}, None),
        ("sqs", (), {"destination_arn": WORK}, None),
        ("sqs", (), {"destination_arn": WORK, "mode": "bulk"}, "only while another one names it"),
        ("sqs", (WORK,), {"destination_arn": FUNCTION}, "must be a queue"),
        ("async", (), {"destination_arn": FUNCTION}, None),
        ("async", (), {"destination_arn": WORK}, "must be a function"),
        ("rule", (), {"destination_arn": WORK}, "has its destinations in its messages"),
        ("rule", (), {}, None),
        *((kind, (), {"mode": "bulk"}, "which no queue feeds") for kind in ("rule", "async", "schedule")),
        *((kind, (), {"mode": "bulk"}, "which no queue feeds") for kind in ("bus", "stream", "pipe")),
    ],
)
def test_what_a_queue_cannot_do_is_refused_by_its_rule(
    queue_of: Any, kind: str, sources: Any, asked: Any, rule: str | None
) -> None:
    found = broken_rule(RedriveRequest(**asked), queue_of(kind, *sources))
    assert found is None if rule is None else rule in str(found)


@pytest.mark.parametrize(
    ("kind", "sources", "named", "asked", "nowhere"),
    [
        ("sqs", (), (), {}, True),
        ("sqs", (), (None, None), {}, True),
        ("sqs", (), (None, WORK), {}, False),
        ("sqs", (), (None,), {"destination_arn": WORK}, False),
        ("sqs", (WORK,), (None,), {}, False),
        ("rule", (), (None,), {}, False),
    ],
)
def test_a_queue_that_no_queue_names_leads_nowhere_until_a_message_says_where(
    queue_of: Any, kind: str, sources: Any, named: Any, asked: Any, nowhere: bool
) -> None:
    assert leads_nowhere(RedriveRequest(**asked), queue_of(kind, *sources), named) is nowhere


@pytest.fixture
def circumstances(noon: datetime) -> Any:
    """What speaks for a redrive by SQS, but for what is given."""

    def make(*, days_since: float | None = None, oldest_days: float | None = 1, max_redrives: int = 3) -> Any:
        return Circumstances(
            max_redrives=max_redrives,
            redriven_at=None if days_since is None else noon - timedelta(days=days_since),
            oldest=None if oldest_days is None else timedelta(days=oldest_days),
            now=noon,
            cool_down=timedelta(days=28),
            quarantine_after=timedelta(days=10),
        )

    return make


@pytest.mark.parametrize(
    ("kind", "asked", "found", "why"),
    [
        ("sqs", {}, {}, None),
        ("sqs", {}, {"oldest_days": None}, None),
        ("sqs", {}, {"days_since": 28}, None),
        ("sqs", {}, {"days_since": 27.9}, "may have come back"),
        ("sqs", {}, {"oldest_days": 9.9}, None),
        ("sqs", {}, {"oldest_days": 10}, "so old that it goes to quarantine"),
        ("sqs", {}, {"max_redrives": 2}, None),
        ("sqs", {}, {"max_redrives": 1}, "the only one that MaxRedrives allows"),
        ("sqs", {"max_redrives": 5}, {"max_redrives": 5}, "'maxRedrives' was asked for"),
        ("rule", {}, {}, "which no queue feeds"),
        ("bus", {}, {}, "which no queue feeds"),
    ],
)
def test_sqs_redrives_a_queue_only_where_no_message_can_have_been_redriven(
    queue_of: Any, circumstances: Any, kind: str, asked: Any, found: Any, why: str | None
) -> None:
    queue = queue_of(kind, *([WORK] if kind == "sqs" else []))
    told = why_not_bulk(RedriveRequest(**asked), queue, circumstances(**found))
    assert told is None if why is None else why in str(told)
    chosen = mode_of(RedriveRequest(**asked), queue, circumstances(**found))
    assert chosen == ("bulk" if why is None else "counted")


def test_counting_can_always_be_asked_for(queue_of: Any, circumstances: Any) -> None:
    assert mode_of(RedriveRequest(mode="counted"), queue_of("sqs", WORK), circumstances()) == "counted"


def test_without_a_source_there_is_no_bulk(queue_of: Any, circumstances: Any) -> None:
    assert mode_of(RedriveRequest(destination_arn=WORK), queue_of("sqs"), circumstances()) == "counted"


@pytest.mark.parametrize("found", [{"days_since": 1}, {"oldest_days": 11}, {"max_redrives": 1}])
def test_a_redrive_by_sqs_that_may_not_be_is_refused_when_it_is_asked(
    queue_of: Any, circumstances: Any, found: Any
) -> None:
    request = RedriveRequest(mode="bulk")
    assert mode_of(request, queue_of("sqs", WORK), circumstances()) == "bulk"
    with pytest.raises(InvalidInput, match="'bulk' cannot be had: choose 'counted'"):
        mode_of(request, queue_of("sqs", WORK), circumstances(**found))


def test_the_refusal_says_until_when_and_what_else(queue_of: Any, circumstances: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        mode_of(RedriveRequest(mode="bulk"), queue_of("sqs", WORK), circumstances(days_since=1))
    assert str(refused.value) == (
        "The mode 'bulk' cannot be had: choose 'counted'. The queue was last redriven at"
        " 2026-02-28T12:00:00.000Z, and what lies in it may have come back: it is redriven one by one until"
        " 2026-03-28T12:00:00.000Z. SQS's own redrive in the console stays possible; the hub takes it for"
        " somebody else's."
    )


@pytest.mark.parametrize(
    ("allowed", "days_since_bulk", "left"),
    [
        (3, None, 3),
        (3, 0, 2),
        (3, 85, 2),
        (3, 86, 3),
        (2, 29, 1),
        (1, 29, 1),
        (1, 30, 1),
        (20, 561, 19),
        (20, 562, 20),
    ],
)
def test_a_redrive_by_sqs_was_the_first_for_as_long_as_what_it_moved_can_be_sent_back(
    noon: datetime, allowed: int, days_since_bulk: int | None, left: int
) -> None:
    bulk_at = None if days_since_bulk is None else noon - timedelta(days=days_since_bulk)
    assert redrives_left(allowed, bulk_at, noon) == left


@pytest.mark.parametrize(("asked", "days_since_bulk"), [(1, None), (1, 30), (2, 0), (None, 0)])
def test_redrives_may_be_asked_for_where_one_is_left(
    noon: datetime, asked: int | None, days_since_bulk: int | None
) -> None:
    bulk_at = None if days_since_bulk is None else noon - timedelta(days=days_since_bulk)
    require_redrives_left(RedriveRequest(max_redrives=asked), bulk_at, noon)


def test_a_redrive_that_could_send_nothing_back_is_refused(noon: datetime) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_redrives_left(RedriveRequest(max_redrives=1), noon - timedelta(days=29), noon)
    assert str(refused.value) == (
        "The input's 'maxRedrives' leaves none: SQS redrove the queue at 2026-01-31T12:00:00.000Z, and that"
        " counts as the first for whatever lies in it. Ask for 2 at least."
    )


@pytest.fixture
def found() -> Found:
    """A stack `hub` with one more queue, and one that could not be read."""
    return Found(
        (), {"hub-closed": RedriveDenied("closed"), "hub-gone": QueueGone("gone")}, frozenset({"hub-work"})
    )


@pytest.mark.parametrize(
    "destination", [None, WORK, f"{A_FUNCTION}:hub-Clean-1A2b", f"{A_FUNCTION}:hub-Clean-1A2b:live"]
)
def test_what_is_of_the_stack_may_be_a_destination(found: Found, destination: str | None) -> None:
    require_own_destination(RedriveRequest(destination_arn=destination), found, "hub")


@pytest.mark.parametrize(
    ("destination", "rule"),
    [
        (f"{WORK}-too", "no queue of this stack: there is none of that name"),
        (WORK.replace("hub-work", "hub-gone"), "no queue of this stack"),
        (FUNCTION, "no function of this stack"),
        (f"{A_FUNCTION}:hub-prod-Clean-1A2b", "no function of this stack"),
        (f"{A_FUNCTION}:hub-Clean-1A2b:of-old", "no function of this stack"),
    ],
)
def test_a_destination_that_nothing_may_be_sent_to_is_refused(
    found: Found, destination: str, rule: str
) -> None:
    with pytest.raises(InvalidInput, match=rule):
        require_own_destination(RedriveRequest(destination_arn=destination), found, "hub")


def test_a_destination_that_could_not_be_read_is_not_taken_for_another_stacks(found: Found) -> None:
    with pytest.raises(RedriveDenied):
        require_own_destination(RedriveRequest(destination_arn=WORK.replace("work", "closed")), found, "hub")


@pytest.mark.parametrize("allowed", [1, 2, 3, 5])
def test_however_a_message_dies_and_whenever_queues_are_redriven_it_is_sent_back_as_often_as_allowed(
    queue_of: Any, noon: datetime, allowed: int
) -> None:
    chance, queue = random.Random(7), queue_of("sqs", WORK)
    most = 0
    for _ in range(1000):
        now, dies_at = noon, noon + timedelta(days=chance.uniform(0, 40))
        redriven_at: datetime | None = None
        bulk_at: datetime | None = None
        sent = counted = 0
        while now < noon + timedelta(days=365):
            now += timedelta(days=chance.choice([0.1, 3, 13.9, 14, 27.9, 28, 40]))
            found = Circumstances(
                allowed, redriven_at, timedelta(days=1), now, timedelta(days=28), timedelta(days=10)
            )
            bulk = mode_of(RedriveRequest(), queue, found) == "bulk"
            bulk_at, redriven_at = now if bulk else bulk_at, now
            if now - dies_at >= timedelta(days=14):
                break  # SQS has dropped it
            if now >= dies_at:
                if not bulk and counted >= redrives_left(allowed, bulk_at, now):
                    break  # it goes to quarantine
                sent, counted = sent + 1, counted + (not bulk)
                dies_at = now + timedelta(days=chance.choice([0.1, 7, 14]))
        most = max(most, sent)
    assert most == allowed
