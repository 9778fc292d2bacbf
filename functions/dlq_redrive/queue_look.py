"""A look at what waits in a queue, which hides nothing for longer than it takes."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue
from dlq_redrive.message_identity import message_identity
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.queue_calls import BATCH, receive, release
from dlq_redrive.redrive_counts import RedriveCounts
from dlq_redrive.redrive_decision import Decider, Left

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_HIDDEN_SECONDS = 30
"""Should the look be killed: it lets go at once what it has seen."""

_DEPTH: Sequence[Any] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True)
class Look:
    """What was seen of a queue. Counts of waiting messages are approximate, as SQS's are."""

    waiting: int
    letters: tuple[DeadLetter, ...]

    def ages(self, now: datetime) -> list[timedelta]:
        """The ages of what was seen, the oldest first."""
        return sorted((now - letter.sent_at for letter in self.letters), reverse=True)


def look_at(sqs: SQSClient, queue: DeadLetterQueue, most: int) -> Look:
    """Up to `most` messages of a queue, all of which can be received again when it returns."""
    depth: Any = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=_DEPTH)["Attributes"]
    waiting = sum(int(depth.get(name, 0)) for name in _DEPTH)
    seen: dict[str, DeadLetter] = {}
    try:
        while waiting and len(seen) + BATCH <= most:
            letters = receive(sqs, queue, _HIDDEN_SECONDS, attempt=str(uuid.uuid4()))
            seen.update((letter.message_id, letter) for letter in letters)
            if not letters or len(seen) >= waiting:
                break
    finally:
        release(sqs, queue, list(seen.values()))
    return Look(max(waiting, len(seen)), tuple(seen.values()))


def forecast(
    look: Look, queue: DeadLetterQueue, counts: RedriveCounts, decider: Decider, clock: Callable[[], datetime]
) -> dict[str, Any]:
    """What a redrive would do with the messages of a look, one by one, in counts."""
    reasons: Counter[str] = Counter()
    redrives: Counter[str] = Counter()
    would_redrive = 0
    for letter in look.letters:
        known = counts.read(message_identity(queue.arn, queue.kind, letter))
        redrives[str(known.number)] += 1
        decision = decider.decide(letter, known, clock())
        if isinstance(decision, Reason):
            reasons[decision.value] += 1
        elif not isinstance(decision, Left):
            would_redrive += 1
    ages = [int(age.total_seconds()) for age in look.ages(clock())]
    return {
        "lookedAt": len(look.letters),
        "wouldRedrive": would_redrive,
        "wouldQuarantine": sum(reasons.values()),
        "reasons": dict(reasons),
        "redrives": dict(redrives),
        "newestSeconds": ages[-1] if ages else None,
    }
