"""Which state a thread of the engine evaluates: what a call of a service is made for."""

from __future__ import annotations

import threading

_thread = threading.local()


def evaluate_in_this_thread(name: str) -> None:
    """Note that this thread does the work of the state of that name from now on."""
    _thread.state = name


def current_state() -> str | None:
    """The state whose task, or whose map's items, this thread works on; None outside of one."""
    return getattr(_thread, "state", None)
