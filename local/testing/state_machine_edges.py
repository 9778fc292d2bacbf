"""The edges of a state machine, read from its definition: where a state may lead, and on what.

AWS documentation: "Amazon States Language" (Transitions, Choice, Fallback states), "Handling errors in Step
Functions workflows" (Retrier, Catcher).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.testing.state_machine_reader import PlacedState, states

END = "(end)"
"""The target of a state that ends its machine."""

_KNOWN = ("Task", "Map", "Choice", "Pass", "Wait", "Succeed", "Fail")


@dataclass(frozen=True)
class Edge:
    """A transition without an error: `Next`, a Choice's rule or `Default`, or the end."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


@dataclass(frozen=True)
class NamedError:
    """An error that a state's retrier or catcher names.

    `retries` is how often the state is tried again for it, over all errors of that retrier; `target` is where
    a catcher leads with it, None for a retrier.
    """

    state: str
    error: str
    retries: int
    target: str | None = None

    def __str__(self) -> str:
        return f"{self.state}: {self.error}" + (f" -> {self.target}" if self.target else "")


def edges(machine: Mapping[str, Any]) -> list[Edge]:
    """Every transition that no error makes, those inside of maps included, each once."""
    found = [Edge(placed.name, target) for placed in states(machine) for target in _targets(placed)]
    return list(dict.fromkeys(found))


def retried_errors(machine: Mapping[str, Any]) -> list[NamedError]:
    """Every error that some retrier names, in the order of the file."""
    return [
        NamedError(placed.name, error, _attempts(retrier))
        for placed in states(machine)
        for retrier in placed.definition.get("Retry", [])
        for error in retrier["ErrorEquals"]
        if _attempts(retrier) > 0
    ]


def caught_errors(machine: Mapping[str, Any]) -> list[NamedError]:
    """Every error that some catcher names, with the retries that come before it."""
    return [
        NamedError(placed.name, error, _retries_of(placed, error), catcher["Next"])
        for placed in states(machine)
        for catcher in placed.definition.get("Catch", [])
        for error in catcher["ErrorEquals"]
    ]


def _targets(placed: PlacedState) -> Iterator[str]:
    if placed.kind not in _KNOWN:
        raise ValueError(f"{placed.name}: edges of a state of type {placed.kind} are not known")
    definition = placed.definition
    if placed.kind == "Choice":
        yield from (rule["Next"] for rule in definition["Choices"])
        # Without a Default an input that no rule knows fails the execution.
        yield from filter(None, [definition.get("Default")])
    else:
        yield definition.get("Next", END)


def _attempts(retrier: Mapping[str, Any]) -> int:
    return int(retrier.get("MaxAttempts", 3))


def _retries_of(placed: PlacedState, error: str) -> int:
    for retrier in placed.definition.get("Retry", []):
        if error in retrier["ErrorEquals"] or "States.ALL" in retrier["ErrorEquals"]:
            return _attempts(retrier)
    return 0
