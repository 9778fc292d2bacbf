"""How a byte range tells of its changes: one event each, or, past what a run may publish so, in batches."""

from __future__ import annotations

from typing import Protocol

from healthlake_export.change_events import BatchEvents, ChangeEvent, ChangeEventFormat
from healthlake_export.event_publisher import EventPublisher
from healthlake_export.ndjson import Line
from healthlake_export.resource_keys import ResourceKeys


class Budget(Protocol):
    """Events of their own that changes may still have."""

    def take(self) -> bool:
        """Whether one more change may have an event of its own; it counts as spent then."""

    def give_back(self) -> None:
        """Leave to others what was not spent."""


class Unlimited:
    """Every change has an event of its own."""

    def take(self) -> bool:
        return True

    def give_back(self) -> None:
        pass


class Nothing:
    """No change has an event of its own."""

    def take(self) -> bool:
        return False

    def give_back(self) -> None:
        pass


class ChangePublisher:
    """Publishes the changes of one byte range.

    `publish`, `settle` and `finish` return the events that EventBridge has refused for good since. The counts
    are final after `finish`: `published` changes were accepted, `batched` of them within events for many.
    """

    def __init__(self, events: EventPublisher, event_format: ChangeEventFormat, budget: Budget) -> None:
        self._events = events
        self._format = event_format
        self._batches = BatchEvents(event_format)
        self._budget = budget
        self.batched = 0

    @property
    def published(self) -> int:
        return self._events.accepted

    def publish(self, identity: bytes, keys: ResourceKeys, line: Line) -> list[ChangeEvent]:
        """Take a change; it is on the bus, or refused, when `finish` has returned."""
        if self._budget.take():
            return self._uncount(self._events.publish(self._format.event(identity, keys, line)))
        self.batched += 1
        full = self._batches.add(identity, keys, line)
        return [] if full is None else self._uncount(self._events.publish(full))

    def settle(self) -> list[ChangeEvent]:
        """Send what is left and wait until every event is accepted or refused."""
        rest = self._batches.take()
        refused = [] if rest is None else self._events.publish(rest)
        refused += self._events.finish()
        return self._uncount(refused)

    def finish(self) -> list[ChangeEvent]:
        """Settle for good: the budget's rest is free."""
        refused = self.settle()
        self._budget.give_back()
        return refused

    def _uncount(self, refused: list[ChangeEvent]) -> list[ChangeEvent]:
        """Take what was refused out of the count of the batched again."""
        for event in refused:
            if event.entry["DetailType"] != self._format.detail_type:
                self.batched -= len(event.changes)
        return refused
