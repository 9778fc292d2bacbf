"""The history of one execution: moto's, closed when the execution ends, dated as its waits were asked for."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager

from local.stepfunctions.run_context import RunContext

_CLOSED = "closed_to_events"


def close_context(context: Any) -> None:
    """Take no more events from a task that ran out of time and works on in the background."""
    setattr(context, _CLOSED, True)


class ExecutionHistory(EventManager):  # type: ignore[misc]
    """Events of one execution in the order in which they happened; none after its last."""

    def __init__(self, run: RunContext, earlier: Sequence[Any] = ()) -> None:
        """A history that goes on after the events of an execution that is redriven, if any are given."""
        super().__init__()
        self._run = run
        self._closed = False
        self._history_event_list.extend(earlier)
        self._event_id_gen._next_id = len(earlier) + 1
        self._goes_on_in_a_state = run.checkpoint is not None and _is_inside(run.checkpoint.state, earlier)

    def add_event(  # type: ignore[no-untyped-def]
        self, context, event_type, event_details=None, timestamp=None, update_source_event_id=True
    ) -> int:
        """Append an event and return its id; 0 when it came too late to be part of the history."""
        if self._closed or getattr(context, _CLOSED, False):
            return 0
        if self._was_entered_before(event_type):
            return 0
        if timestamp is None:
            skipped = datetime.timedelta(seconds=self._run.skipped_seconds)
            timestamp = datetime.datetime.now(tz=datetime.UTC) + skipped
        event_id = super().add_event(
            context=context,
            event_type=event_type,
            event_details=event_details,
            timestamp=timestamp,
            update_source_event_id=update_source_event_id,
        )
        assert isinstance(event_id, int)
        return event_id

    def _was_entered_before(self, event_type: Any) -> bool:
        """Whether it is the entering of the state in which a redriven execution goes on.

        Step Functions schedules such a state again without entering it; only Fail is entered again.
        """
        if not self._goes_on_in_a_state or not event_type.value.endswith("StateEntered"):
            return False
        self._goes_on_in_a_state = False
        return bool(event_type != HistoryEventType.FailStateEntered)

    def close(self) -> None:
        """The last event has been written."""
        self._closed = True


def _is_inside(state: str, events: Sequence[Any]) -> bool:
    """Whether the state was entered and not left since. It was neither when a stop came just before it."""
    for event in reversed(events):
        for name, inside in (("stateEnteredEventDetails", True), ("stateExitedEventDetails", False)):
            if (event.get(name) or {}).get("name") == state:
                return inside
    return False
