"""Log events of functions with the ids that Amazon CloudWatch Logs gives to every event.

AWS documentation: API reference of CloudWatch Logs, «FilterLogEvents» (`eventId` tells events with the same
time and text apart). ministack gives none to the lines that it writes for functions.
"""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

Append = Callable[[dict[str, Any], list[dict[str, Any]]], None]


def with_event_ids(append: Append) -> Append:
    """ministack's function that adds events to a stream, for events that have no id yet as well."""

    def append_log_events(stream: dict[str, Any], events: Iterable[dict[str, Any]]) -> None:
        append(stream, [{"eventId": str(uuid.uuid4()), **event} for event in events])

    return append_log_events
