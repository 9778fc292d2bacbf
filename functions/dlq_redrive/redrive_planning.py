"""Which queues a redrive takes up and in which mode, and the refusal of what cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.errors import InvalidInput
from dlq_redrive.dead_letter import DeadLetterQueue
from dlq_redrive.redrive_request import ALARM, BULK, COUNTED, RedriveRequest

_LONGEST_LIFE = timedelta(days=28)
"""Of a message that SQS moves back: 14 days at most in its source, and 14 where it dies again."""


def chosen_queues(request: RedriveRequest, queues: Sequence[DeadLetterQueue]) -> list[DeadLetterQueue]:
    """The queues that a request is about; raises `InvalidInput` when it names one that is none of them. An
    alarm may be of another stack whose name begins alike: it is about none."""
    if request.queue_arn is None:
        return list(queues)
    for queue in queues:
        if queue.arn == request.queue_arn:
            return [queue]
    if request.started_by == ALARM:
        return []
    raise InvalidInput("The input's 'queueArn' is no dead-letter queue of this stack.")


def broken_rule(request: RedriveRequest, queue: DeadLetterQueue) -> str | None:
    """Why a queue cannot be redriven as it was asked, if it cannot."""
    if request.destination_arn is not None:
        wanted = {"sqs": ":sqs:", "async": ":lambda:"}.get(queue.kind)
        if wanted is None:
            return f"A queue of the kind {queue.kind!r} has its destinations in its messages: choose none."
        if wanted not in request.destination_arn:
            what = "a queue" if queue.kind == "sqs" else "a function"
            return f"The destination of a queue of the kind {queue.kind!r} must be {what}."
    if request.mode == BULK and queue.kind != "sqs":
        return (
            f"SQS cannot redrive a queue of the kind {queue.kind!r}, which no queue feeds: choose 'counted'."
        )
    if queue.kind == "sqs" and not queue.sources and request.mode == BULK:
        return "SQS redrives a queue only while another one names it as its dead-letter queue."
    if queue.kind == "sqs" and not queue.sources and request.destination_arn is None:
        return "No queue of the stack names it as its dead-letter queue: choose a 'destinationArn'."
    return None


def mode_of(
    request: RedriveRequest,
    queue: DeadLetterQueue,
    *,
    redriven_at: datetime | None,
    oldest: timedelta | None,
    now: datetime,
    cool_down: timedelta,
    quarantine_after: timedelta,
) -> str:
    """The mode in which a queue is redriven. The first redrive is SQS's own; within the cool-down after one,
    or while a message is there that was sent before it ended, what is there may have come back, and is
    counted. So is a queue in which a message is so old that it
    goes to quarantine, which SQS would give another lifetime; and whatever was asked `maxRedrives` of."""
    if request.mode is not None:
        return request.mode
    since = None if redriven_at is None else now - redriven_at
    came_back = since is not None and (since < cool_down or (oldest is not None and oldest >= since))
    too_old = oldest is not None and oldest >= quarantine_after
    can_be_bulk = queue.kind == "sqs" and bool(queue.sources)
    if not can_be_bulk or came_back or too_old or request.max_redrives is not None:
        return COUNTED
    return BULK


def redrives_left(request: RedriveRequest, max_redrives: int, bulk_at: datetime | None, now: datetime) -> int:
    """How often a message may be sent back one by one. Where SQS itself has redriven the queue while the
    message may have been there, that was the first time; whoever asks for a number gets it."""
    if request.max_redrives is not None:
        return request.max_redrives
    may_have_moved = bulk_at is not None and now - bulk_at < _LONGEST_LIFE
    return max_redrives - 1 if may_have_moved else max_redrives
