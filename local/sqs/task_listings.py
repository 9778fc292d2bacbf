"""How late listings of a message-move task tell the number of moved messages.

The number is documented as approximate, and was seen to follow a while after a task is COMPLETED. Here a
listing of a running task tells what had been moved at the listing before, and the first listing after its end
repeats the number of the last.
AWS documentation: SQS API Reference, «ListMessageMoveTasksResultEntry».
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Listings:
    """What the last listing of a task told to have been moved, how many messages were moved by then, and
    whether the task had ended."""

    told: int = 0
    moved: int = 0
    ended: bool = False

    def next(self, moved: int, active: bool) -> Listings:
        """The next one, of a task that has moved so many messages and may still be active."""
        return Listings(self.moved if active or self.ended else self.told, moved, not active)


NEVER_LISTED = Listings()
