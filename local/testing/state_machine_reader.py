"""Reads Amazon States Language files: states at every depth, and the substitutions they expect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class PlacedState:
    """A state, its name, and the names of the Map and Parallel states around it."""

    name: str
    definition: Mapping[str, Any]
    inside: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return str(self.definition.get("Type"))


def states(machine: Mapping[str, Any], inside: tuple[str, ...] = ()) -> Iterator[PlacedState]:
    """Every state of a machine, those of its maps and branches included, in the order of the file."""
    for name, state in machine["States"].items():
        yield PlacedState(name, state, inside)
        inner = [state[field] for field in ("ItemProcessor", "Iterator") if field in state]
        for branch in [*inner, *state.get("Branches", [])]:
            yield from states(branch, (*inside, name))


def placeholders(value: Any) -> set[str]:
    """Names in `${Name}`, in a text or anywhere inside a value."""
    if isinstance(value, str):
        return set(_PLACEHOLDER.findall(value))
    if isinstance(value, Mapping):
        return {name for one in value.values() for name in placeholders(one)}
    if isinstance(value, list):
        return {name for one in value for name in placeholders(one)}
    return set()
