"""The event buses of a workbench: what was put on them, and rules that deliver it.

AWS documentation: "Amazon EventBridge event patterns", "Structure of Amazon EventBridge events".
"""

from __future__ import annotations

import datetime
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.events.models import EventPattern

from local.stepfunctions.work_threads import WorkThreads

ACCOUNT = "123456789012"
REGION = "us-east-1"

Event = dict[str, Any]
Deliver = Callable[[Event], Any]


class Bus:
    """Keeps every event, under `bus` the name of its bus, and delivers it to the rules that match."""

    def __init__(self, on_event: Callable[[], None]) -> None:
        self._on_event = on_event
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._rules: list[tuple[Any, Deliver]] = []
        self._deliveries = WorkThreads()

    @property
    def events(self) -> list[Event]:
        """Events so far, in their order."""
        with self._lock:
            return list(self._events)

    def connect(self, pattern: Mapping[str, Any], deliver: Deliver) -> None:
        """Deliver each matching event from now on, in a thread of its own."""
        with self._lock:
            self._rules.append((EventPattern.load(json.dumps(pattern)), deliver))

    def disconnect(self) -> None:
        """Deliver nothing more, and wait for what is being delivered: it must not reach into the bench
        that is opened next. Raises TimeoutError when it goes on."""
        with self._lock:
            self._rules.clear()
        self._deliveries.join()

    def put(self, event: Event) -> None:
        """Take an event in the form a target gets it."""
        with self._lock:
            self._events.append(event)
            for pattern, deliver in self._rules:
                if pattern.matches_event(event):
                    self._deliveries.start("workbench-rule", deliver, event)
        self._on_event()

    def put_entries(self, entries: list[dict[str, Any]]) -> None:
        """Take entries of PutEvents that the bus accepted, each with the EventId it was given."""
        for entry in entries:
            event = event_of(
                entry["Source"],
                entry["DetailType"],
                json.loads(entry["Detail"]),
                resources=entry.get("Resources") or [],
                bus=str(entry.get("EventBusName", "default")).rsplit("/", 1)[-1],
            )
            self.put({**event, "id": entry["EventId"]})


def event_of(
    source: str, detail_type: str, detail: Any, *, resources: list[str] | None = None, bus: str = "default"
) -> Event:
    """An event as EventBridge hands it to a target, with its bus beside."""
    now = datetime.datetime.now(tz=datetime.UTC)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "source": source,
        "detail-type": detail_type,
        "account": ACCOUNT,
        "time": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "region": REGION,
        "resources": resources or [],
        "detail": detail,
        "bus": bus,
    }
