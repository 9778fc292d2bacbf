"""Which queues are redriven, how, and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from common.errors import InvalidInput
from dlq_redrive.redrive_planning import broken_rule, chosen_queues, mode_of
from dlq_redrive.redrive_request import RedriveRequest

WORK = "arn:aws:sqs:us-east-1:123456789012:hub-work"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:clean"
DEAD = "arn:aws:sqs:us-east-1:123456789012:hub-dead"


def test_no_queue_named_is_all_of_them(queue_of: Any) -> None:
    queues = [queue_of(), queue_of("rule", fifo=True)]
    assert chosen_queues(RedriveRequest(), queues) == queues
    assert chosen_queues(RedriveRequest(queue_arn=DEAD), queues) == queues[:1]


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
        ("sqs", (), {}, "No queue of the stack names it"),
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
    ("kind", "asked", "hours_since", "oldest_days", "mode"),
    [
        ("sqs", {}, None, 1, "bulk"),
        ("sqs", {}, 25, 1, "bulk"),
        ("sqs", {}, 23, 1, "counted"),
        ("sqs", {}, None, 10, "counted"),
        ("sqs", {}, None, None, "bulk"),
        ("sqs", {"max_redrives": 2}, None, 1, "counted"),
        ("sqs", {"mode": "bulk"}, 1, 1, "bulk"),
        ("sqs", {"mode": "counted"}, None, 1, "counted"),
        ("rule", {}, None, 1, "counted"),
        ("bus", {}, None, 1, "counted"),
    ],
)
def test_the_first_redrive_is_bulk_and_what_comes_back_is_counted(
    queue_of: Any,
    noon: datetime,
    kind: str,
    asked: Any,
    hours_since: int | None,
    oldest_days: int | None,
    mode: str,
) -> None:
    chosen = mode_of(
        RedriveRequest(**asked),
        queue_of(kind, *([WORK] if kind == "sqs" else [])),
        redriven_at=None if hours_since is None else noon - timedelta(hours=hours_since),
        oldest=None if oldest_days is None else timedelta(days=oldest_days),
        now=noon,
        cool_down=timedelta(hours=24),
        quarantine_after=timedelta(days=10),
    )
    assert chosen == mode


def test_without_a_source_there_is_no_bulk(queue_of: Any, noon: datetime) -> None:
    chosen = mode_of(
        RedriveRequest(destination_arn=WORK),
        queue_of("sqs"),
        redriven_at=None,
        oldest=None,
        now=noon,
        cool_down=timedelta(hours=24),
        quarantine_after=timedelta(days=10),
    )
    assert chosen == "counted"
