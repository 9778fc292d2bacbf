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
        """The way back of a message, the reason why it goes to quarantine, or why it is left."""
        if now - letter.sent_at >= self.quarantine_after:
            return Reason.TOO_OLD
        if redrives.came_back(self.execution, letter.message_id, letter.sent_at):
            return Left.RETURNED
        if redrives.number >= self.max_redrives:
            return Reason.REDRIVEN_TOO_OFTEN
        return self.ways.back(letter, now)
