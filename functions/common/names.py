"""Names as the state machine and the table have them."""

from __future__ import annotations


def camel_case(name: str) -> str:
    """`name` in snake case, in camel case: `run_id` is `runId`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
