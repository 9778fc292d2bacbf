"""Which queues a redrive takes up and in which mode, and the refusal of what cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.errors import InvalidInput
from common.instants import format_instant
from dlq_redrive.arns import is_of_stack, name_of_queue
from dlq_redrive.dead_letter import DeadLetterQueue
from dlq_redrive.errors import QueueGone
from dlq_redrive.queue_discovery import STACK_TAG, Found
from dlq_redrive.redrive_request import ALARM, BULK, COUNTED, RedriveRequest

_LONGEST_LIFE = timedelta(days=28)
"""Of a message that was sent back: 14 days at most in its source, and 14 where it dies again."""

_LONGEST_TASK = timedelta(hours=36)
"""Of a move task («StartMessageMoveTask», Amazon SQS API Reference)."""

_FEWEST_FOR_BULK = 2
"""Redrives that a message must be allowed where SQS makes one: it counts for what arrives after it, too."""


@dataclass(frozen=True)
class Circumstances:
    """What decides on the mode of a queue besides the request. `oldest` is the age of the oldest message
    that was looked at, `redriven_at` when a redrive of any kind last began or ended."""

    max_redrives: int
    redriven_at: datetime | None
    oldest: timedelta | None
    now: datetime
    cool_down: timedelta
    quarantine_after: timedelta

    @property
    def too_old(self) -> bool:
        """Whether something is there that goes to quarantine by itself."""
        return self.oldest is not None and self.oldest >= self.quarantine_after


def chosen_queues(request: RedriveRequest, queues: Sequence[DeadLetterQueue]) -> list[DeadLetterQueue]:
    """The queues that a request is about; raises `InvalidInput` when it names one that is none of them. An
    alarm may be of another stack whose name begins alike: it is about none."""
    if request.queue_arn is None:
        return [queue for queue in queues if queue.kind in request.kinds]
    for queue in queues:
        if queue.arn == request.queue_arn:
            return [queue]
    if request.started_by == ALARM:
        return []
    raise InvalidInput("The input's 'queueArn' is no dead-letter queue of this stack.")


def broken_rule(request: RedriveRequest, queue: DeadLetterQueue) -> str | None:
    """Why a queue cannot be redriven as it was asked, whatever lies in it, if it cannot."""
    if request.destination_arn is not None:
        wanted = {"sqs": ":sqs:", "async": ":lambda:"}.get(queue.kind)
        if wanted is None:
            return f"A queue of the kind {queue.kind!r} has its destinations in its messages: choose none."
        if wanted not in request.destination_arn:
            what = "a queue" if queue.kind == "sqs" else "a function"
            return f"The destination of a queue of the kind {queue.kind!r} must be {what}."
    why = _why_never_bulk(queue)
    return _instead_of_bulk(why) if request.mode == BULK and why is not None else None


def require_own_destination(request: RedriveRequest, found: Found, stack: str) -> None:
    """Raises `InvalidInput` for a destination that is not the stack's, and what kept it from being read. A
    function is known by its name alone: whether there is one, the first message tells."""
    if request.destination_arn is None:
        return
    name = name_of_queue(request.destination_arn)
    if ":lambda:" in request.destination_arn:
        if not is_of_stack(request.destination_arn.partition(":function:")[2], stack):
            raise InvalidInput("The input's 'destinationArn' is no function of this stack.")
    elif name not in found.names:
        failure = found.failures.get(name)
        if failure is not None and not isinstance(failure, QueueGone):
            raise failure
        raise InvalidInput(
            "The input's 'destinationArn' is no queue of this stack: there is none of that name, or it has"
            f" another stack's tag {STACK_TAG}."
        )


def leads_nowhere(request: RedriveRequest, queue: DeadLetterQueue, sources: Sequence[str | None]) -> bool:
    """Whether nothing says where the messages of a queue belong; `sources` are those that its messages name.
    One that does is enough: it goes back, and those that do not go to quarantine, whole."""
    return (
        queue.kind == "sqs"
        and not queue.sources
        and request.destination_arn is None
        and not any(source is not None for source in sources)
    )


def why_not_bulk(request: RedriveRequest, queue: DeadLetterQueue, found: Circumstances) -> str | None:
    """Why SQS may not redrive a queue by itself, if it may not. It counts nothing and gives every message
    another life: no message may meet it twice."""
    if (never := _why_never_bulk(queue)) is not None:
        return never
    if request.max_redrives is not None:
        return "SQS counts nothing, and 'maxRedrives' was asked for."
    if found.max_redrives < _FEWEST_FOR_BULK:
        return (
            "A redrive by SQS would be the only one that MaxRedrives allows, for what arrives after it too."
        )
    if found.too_old:
        return "A message in it is so old that it goes to quarantine, which SQS does not do."
    if found.redriven_at is not None and found.now - found.redriven_at < found.cool_down:
        last, ends = (format_instant(one) for one in (found.redriven_at, found.redriven_at + found.cool_down))
        return (
            f"The queue was last redriven at {last}, and what lies in it may have come back: it is redriven"
            f" one by one until {ends}. SQS's own redrive in the console stays possible; the hub takes it for"
            " somebody else's."
        )
    return None


def mode_of(request: RedriveRequest, queue: DeadLetterQueue, found: Circumstances) -> str:
    """The mode in which a queue is redriven: SQS's own redrive where it may be. Raises `InvalidInput` when
    that was asked for and may not be."""
    if request.mode == COUNTED:
        return COUNTED
    why = why_not_bulk(request, queue, found)
    if why is None:
        return BULK
    if request.mode == BULK:
        raise InvalidInput(_instead_of_bulk(why))
    return COUNTED


def redrives_left(max_redrives: int, bulk_at: datetime | None, now: datetime) -> int:
    """How often a message may be sent back one by one, where `max_redrives` are allowed and SQS itself last
    began to redrive the queue at `bulk_at`: that was the first time, for whatever lies there now. Once it may
    be all the same: where one is allowed SQS redrives nothing, and `max_redrives` were more when it did.

    It is forgotten once a message that it moved has had as many lives as it may have redrives, one after
    each: then its own count keeps it from another.
    """
    return max(max_redrives - _counts(max_redrives, bulk_at, now), 1)


def require_redrives_left(request: RedriveRequest, bulk_at: datetime | None, now: datetime) -> None:
    """Raises `InvalidInput` when a redrive is asked for that could send no message back, since SQS itself has
    begun to redrive the queue at `bulk_at`: it would put into quarantine what was never tried."""
    asked = request.max_redrives
    if asked == 1 and bulk_at is not None and _counts(asked, bulk_at, now):
        raise InvalidInput(
            f"The input's 'maxRedrives' leaves none: SQS redrove the queue at {format_instant(bulk_at)}, and"
            " that counts as the first for whatever lies in it. Ask for 2 at least."
        )


def _counts(max_redrives: int, bulk_at: datetime | None, now: datetime) -> bool:
    """Whether a redrive by SQS is remembered."""
    return bulk_at is not None and now - bulk_at < max_redrives * _LONGEST_LIFE + _LONGEST_TASK


def _why_never_bulk(queue: DeadLetterQueue) -> str | None:
    if queue.kind != "sqs":
        return f"SQS cannot redrive a queue of the kind {queue.kind!r}, which no queue feeds."
    if not queue.sources:
        return "SQS redrives a queue only while another one names it as its dead-letter queue."
    return None


def _instead_of_bulk(why: str) -> str:
    return f"The mode 'bulk' cannot be had: choose 'counted'. {why}"
