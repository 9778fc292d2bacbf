"""Writes to the records table drawn from a seed, and what must come of them: told from the plan alone.

DynamoDB Developer Guide, «Change data capture for DynamoDB Streams»: a write that changes nothing makes no
record, nor does the removal of what is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal

from local.demo.streams.items import Image, Key, item, keys_of

INSERT: Literal["INSERT"] = "INSERT"
MODIFY: Literal["MODIFY"] = "MODIFY"
REMOVE: Literal["REMOVE"] = "REMOVE"
Name = Literal["INSERT", "MODIFY", "REMOVE"]

PUT, UPDATE, DELETE = "put", "update", "delete"
WRITES_PER_PATIENT = 20
_REMOVALS, _REPETITIONS, _UPDATES = 0.18, 0.1, 0.5
_LOCKED = 0.25


@dataclass(frozen=True)
class Write:
    """One request to the table: how, which item, the state before it and after it (None: not there)."""

    operation: str
    key: Key
    before: Image | None
    after: Image | None

    @property
    def change(self) -> Name | None:
        """What the stream tells of it: None where nothing changes."""
        if self.before == self.after:
            return None
        if self.after is None:
            return REMOVE
        return INSERT if self.before is None else MODIFY


@dataclass(frozen=True)
class Change:
    """What everybody at the far end hears of one write: images are as they were before and after it."""

    key: Key
    name: Name
    old: Image | None
    new: Image | None


@dataclass(frozen=True)
class Plan:
    """Writes in the order in which they are made."""

    writes: Sequence[Write]
    prefix: str = ""
    """What the id of every item begins with."""

    @cached_property
    def changes(self) -> list[Change]:
        """What has to arrive, each once: neither writes without effect nor internal items."""
        return [
            Change(write.key, write.change, write.before, write.after)
            for write in self.writes
            if write.change is not None and not write.key.internal
        ]

    @cached_property
    def final(self) -> Mapping[Key, Image]:
        """The table in the end, internal items included."""
        states: dict[Key, Image | None] = {write.key: write.after for write in self.writes}
        return {key: state for key, state in states.items() if state is not None}

    @cached_property
    def removed(self) -> set[Key]:
        """Items that were there once and are not in the end."""
        return {write.key for write in self.writes if write.after is not None} - self.final.keys()

    @property
    def names(self) -> Counter[str]:
        """How many changes there are of each kind."""
        return Counter(change.name for change in self.changes)

    def histories(self) -> dict[Key, list[Change]]:
        """The changes of each item, in their order."""
        return histories(self.changes)


def histories(changes: Iterable[Change]) -> dict[Key, list[Change]]:
    """The changes of each item, in the order given."""
    found: dict[Key, list[Change]] = {}
    for change in changes:
        found.setdefault(change.key, []).append(change)
    return found


def draw(seed: int | str, writes: int) -> Plan:
    """So many writes; the same for the same seed."""
    random = Random(f"{seed}/writes")  # noqa: S311 - repeatable on purpose
    prefix = f"{seed}-"
    patients = [f"{prefix}patient-{number}" for number in range(1, writes // WRITES_PER_PATIENT + 2)]
    keys = [
        key
        for patient in patients
        for key in keys_of(
            patient,
            addresses=random.randrange(3),
            measurements=random.randrange(1, 4),
            locked=random.random() < _LOCKED,
        )
    ]
    table: dict[Key, Image] = {}
    drawn = []
    for _ in range(writes):
        key = random.choice(keys)
        write = _draw(key, table.get(key), random)
        drawn.append(write)
        table.pop(key, None)
        if write.after is not None:
            table[key] = write.after
    return Plan(drawn, prefix)


def _draw(key: Key, before: Image | None, random: Random) -> Write:
    if before is None:
        if random.random() < _REMOVALS / 3:
            return Write(DELETE, key, None, None)
        return Write(PUT, key, None, item(key, random))
    if random.random() < _REMOVALS:
        return Write(DELETE, key, before, None)
    operation = UPDATE if random.random() < _UPDATES else PUT
    if random.random() < _REPETITIONS:
        return Write(operation, key, before, before)
    after = item(key, random)
    if operation == UPDATE:
        # an update sets attributes and leaves the others
        after = {**before, **after}
    return Write(operation, key, before, after)
