"""What becomes of a dead letter: back, to quarantine, or left where it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from dlq_redrive.dead_letter import DeadLetter
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.redrive_counts import Redrives
from dlq_redrive.ways_back import WayBack, Ways


class Left(Enum):
    """Why a message is left where it is."""

    RETURNED = "returned"
    """This execution has sent it back already and it died again: nothing loops."""


@dataclass(frozen=True)
class Decider:
    """Decides for the messages of one queue. `execution` is the name of the execution that redrives it."""

    ways: Ways
    max_redrives: int
    quarantine_after: timedelta
    execution: str

    def decide(self, letter: DeadLetter, redrives: Redrives, now: datetime) -> WayBack | Reason | Left:
        """The way back of a message, the reason why it goes to quarantine, or why it is left.

        A message that was counted and is still here was not seen to be sent: it is sent under the same count,
        however many there are. One that cannot have been sent, for lack of a mark, has not returned, although
        another one with its identity may have been sent.
        """
        counted = letter.message_id in redrives.message_ids
        kind = self.ways.queue.kind
        sent_by_this = redrives.last_execution == self.execution and not letter.was_never_marked(kind)
        if now - letter.sent_at >= self.quarantine_after:
            return Reason.TOO_OLD
        if not counted and sent_by_this:
            return Left.RETURNED
        if not counted and redrives.number >= self.max_redrives:
            return Reason.REDRIVEN_TOO_OFTEN
        return self.ways.back(letter, now)
