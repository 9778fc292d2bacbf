"""Names that others read: on the bus, in the state machine and in the table."""

from __future__ import annotations

EVENT_SOURCE = "healthlake-hub"
"""Source of every event that the hub puts on its bus."""


def camel_case(name: str) -> str:
    """`name` in snake case, in camel case: `run_id` is `runId`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
