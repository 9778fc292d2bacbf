"""Which queues a redrive takes up and in which mode, and the refusal of what cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from common.errors import InvalidInput
from dlq_redrive.dead_letter import DeadLetterQueue
from dlq_redrive.redrive_request import BULK, COUNTED, RedriveRequest


def chosen_queues(request: RedriveRequest, queues: Sequence[DeadLetterQueue]) -> list[DeadLetterQueue]:
    """The queues that a request is about; raises `InvalidInput` when it names one that is none of them."""
    if request.queue_arn is None:
        return list(queues)
    for queue in queues:
        if queue.arn == request.queue_arn:
            return [queue]
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
    what is there came back, or came since, and is counted. So is a queue in which a message is so old that it
    goes to quarantine, which SQS would give another lifetime; and whatever was asked `maxRedrives` of."""
    if request.mode is not None:
        return request.mode
    came_back = redriven_at is not None and now - redriven_at < cool_down
    too_old = oldest is not None and oldest >= quarantine_after
    can_be_bulk = queue.kind == "sqs" and bool(queue.sources)
    if not can_be_bulk or came_back or too_old or request.max_redrives is not None:
        return COUNTED
    return BULK
