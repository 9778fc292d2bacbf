"""A subscriber of the event bus: a rule to a queue, drained and counted while runs go on.

It counts what has arrived, independent of what a publisher says it has sent.
"""

import json
import threading
from collections import Counter
from collections.abc import Sequence

from local.account.state_file import RunningAccount
from local.demo.bus_queue import BusQueue

NAME = "demo-subscriber"
SOURCE = "healthlake-hub"
DETAIL_TYPES = ("FhirResourceChanged", "FhirResourceSnapshot")


class EventCount:
    """Events seen so far: how many, and which ids, by the run that published them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: Counter[str] = Counter()
        self._ids: dict[str, set[str]] = {}

    def add(self, bodies: Sequence[str]) -> None:
        """Count events as they stand in messages."""
        metas = [json.loads(body)["detail"]["meta"] for body in bodies]
        with self._lock:
            for meta in metas:
                self._events[meta["runId"]] += 1
                self._ids.setdefault(meta["runId"], set()).add(meta["eventId"])

    def of_run(self, run_id: str) -> int:
        with self._lock:
            return self._events[run_id]

    @property
    def events(self) -> int:
        with self._lock:
            return self._events.total()

    @property
    def distinct_ids(self) -> int:
        with self._lock:
            return len(set().union(*self._ids.values()))


class BusSubscriber(BusQueue):
    """Subscribes to the events of export runs."""

    def __init__(self, account: RunningAccount, bus_name: str) -> None:
        self.count = EventCount()
        pattern = {"source": [SOURCE], "detail-type": list(DETAIL_TYPES)}
        super().__init__(account, bus_name, NAME, pattern, self.count.add)

    def wait_for(self, run_id: str, expected: int, deadline_seconds: float) -> int:
        """Wait until so many events of a run have come, or none for the deadline; returns how many."""
        return self.wait_while(lambda: self.count.of_run(run_id), expected, deadline_seconds)
