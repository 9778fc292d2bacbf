"""A look at what waits in a queue, which hides nothing for longer than it takes."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dlq_redrive.aws_failures import named_failure
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue
from dlq_redrive.message_identity import message_identity
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.queue_calls import BATCH, receive, release
from dlq_redrive.queue_plan import QueuePlan
from dlq_redrive.redrive_counts import RedriveCounts, Redrives
from dlq_redrive.redrive_decision import Decider, Left
from dlq_redrive.redrive_request import BULK

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MOST_LOOKED_AT = 100
"""Messages of a queue that a look takes up at most. As many in a dry run, so that it tells the mode that a
redrive would have."""

_MOST_BYTES = 8 << 20
"""Of bodies that a look keeps, but for what comes with the last ten: a message may have a megabyte."""

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

    def sources(self) -> list[str | None]:
        """Where what was seen has died, as far as SQS tells."""
        return [letter.source_arn for letter in self.letters]


def look_at(sqs: SQSClient, queue: DeadLetterQueue, most: int = MOST_LOOKED_AT) -> Look:
    """Up to `most` messages of a queue, all of which can be received again when it returns. Raises what
    the state machine knows by name."""
    waiting = _waiting(sqs, queue)
    seen: dict[str, DeadLetter] = {}
    size = 0
    try:
        while waiting and len(seen) + BATCH <= most and size < _MOST_BYTES:
            letters = receive(sqs, queue, _HIDDEN_SECONDS, attempt=str(uuid.uuid4()))
            seen.update((letter.message_id, letter) for letter in letters)
            size += sum(len(letter.body) for letter in letters)
            if not letters or len(seen) >= waiting:
                break
    finally:
        release(sqs, queue, list(seen.values()))
    return Look(max(waiting, len(seen)), tuple(seen.values()))


def _waiting(sqs: SQSClient, queue: DeadLetterQueue) -> int:
    try:
        depth: Any = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=_DEPTH)["Attributes"]
    except (ClientError, BotoCoreError) as error:
        raise named_failure(error) from None
    return sum(int(depth.get(name, 0)) for name in _DEPTH)


@dataclass
class Forecast:
    """What a redrive would do with the messages of a look, in counts."""

    plan: QueuePlan
    counts: RedriveCounts
    decider: Decider
    clock: Callable[[], datetime]
    _known: dict[str, Redrives] = field(default_factory=dict, init=False)

    def of(self, look: Look) -> dict[str, Any]:
        """The counts, and the age of the newest in seconds. `redrives` says how many messages were sent back
        how often before."""
        reasons: Counter[str] = Counter()
        redrives: Counter[str] = Counter()
        would_redrive = 0
        for letter in look.letters:
            before, decision = self._decide(letter)
            redrives[str(before)] += 1
            if isinstance(decision, Reason):
                reasons[decision.value] += 1
            elif not isinstance(decision, Left):
                would_redrive += 1
        ages = [int(age.total_seconds()) for age in look.ages(self.clock())]
        return {
            "lookedAt": len(look.letters),
            "wouldRedrive": would_redrive,
            "wouldQuarantine": sum(reasons.values()),
            "reasons": dict(reasons),
            "redrives": dict(redrives),
            "newestSeconds": ages[-1] if ages else None,
        }

    def _decide(self, letter: DeadLetter) -> tuple[int, Any]:
        """How often a message was redriven before, and what would become of it. What goes back counts for
        what comes after it."""
        queue = self.plan.queue
        identity = message_identity(queue.arn, queue.kind, letter)
        known = self.counts.read(identity)
        if self._would_be_moved(letter):
            return known.number, None
        expected = self._known.get(identity, known)
        decision = self.decider.decide(letter, expected, self.clock())
        if not isinstance(decision, Reason | Left):
            attempt = self.counts.attempt(letter.message_id, self.clock())
            self._known[identity] = replace(expected, attempts=(*expected.attempts, attempt))
        return known.number, decision

    def _would_be_moved(self, letter: DeadLetter) -> bool:
        """Whether SQS itself would move it. At one that does not say where it died a move task ends, and the
        redrive goes on one by one."""
        placed = self.plan.destination_arn is not None or letter.source_arn is not None
        return self.plan.mode == BULK and placed
