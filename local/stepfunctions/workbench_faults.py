"""What the calls of tasks to services meet instead of an answer, planned state by state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from local.stepfunctions.current_state import current_state

Fault = Callable[[Callable[[], Any]], Any]
"""Takes the place of one call: gets the call itself, and answers or raises as the service's client would."""


class CallFaults:
    """Faults of the next calls of each state, in order; a call without one reaches its service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[str, list[Fault]] = {}
        self._released = threading.Event()

    def plan(self, state: str, *faults: Fault) -> None:
        """Let the next calls that the state makes (the retries of a task are calls, too) meet these."""
        with self._lock:
            self._planned.setdefault(state, []).extend(faults)

    @property
    def left(self) -> dict[str, int]:
        """How many faults no call has met yet, by state."""
        with self._lock:
            return {state: len(faults) for state, faults in self._planned.items() if faults}

    def forget(self) -> None:
        """Plan nothing any more."""
        with self._lock:
            self._planned.clear()

    def hang(self, _call: Callable[[], Any]) -> Any:
        """The fault of a service that does not answer before the bench is left, and then no more."""
        self._released.wait()
        raise ConnectionError("the bench was left")

    def release(self) -> None:
        """Let calls that hang fail."""
        self._released.set()

    def meeting(self, client: Any) -> Any:
        """The client, or for a state with a planned fault one that meets it."""
        state = current_state()
        with self._lock:
            faults = self._planned.get(state or "")
            return _FaultyClient(client, faults.pop(0)) if faults else client


class _FaultyClient:
    def __init__(self, client: Any, fault: Fault) -> None:
        self._client = client
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute
        return lambda *args, **kwargs: self._fault(lambda: attribute(*args, **kwargs))
