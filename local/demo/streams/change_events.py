"""Events of changes as they came over the bus, each kept once, and what is wrong with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from local.demo.streams.items import Key
from local.demo.streams.plain_values import parsed, says
from local.demo.streams.plan import INSERT, MODIFY, REMOVE, Change, Plan

SOURCE = "healthlake-hub.records"
MOST_PROBLEMS = 20

Detail = Mapping[str, Any]
Stored = Callable[[str, str], bytes]
"""Gives the object of a bucket and a key."""


class ChangeEvents:
    """Events seen so far by their ids, of items whose id begins so; what was told twice counts once."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._details: dict[str, str] = {}
        self.deliveries = 0

    def add(self, bodies: Sequence[str]) -> None:
        """Keep events as they stand in messages."""
        metas = [(parsed(body)["detail"]["meta"], body) for body in bodies]
        events = [(meta["eventId"], body) for meta, body in metas if meta["id"].startswith(self._prefix)]
        with self._lock:
            self.deliveries += len(events)
            for identity, body in events:
                self._details.setdefault(identity, body)

    @property
    def distinct(self) -> int:
        """How many different ids there are."""
        with self._lock:
            return len(self._details)

    def details(self, stored: Stored) -> list[Detail]:
        """What the events tell, in full where they refer to an object."""
        with self._lock:
            bodies = list(self._details.values())
        return [_in_full(parsed(body)["detail"], stored) for body in bodies]


def _in_full(detail: Detail, stored: Stored) -> Detail:
    if detail["meta"]["inline"]:
        return detail
    reference = detail["reference"]
    text = stored(reference["bucket"], reference["key"])
    if len(text) != int(reference["length"]):
        raise ValueError("an event refers to an object of another length")
    whole: Detail = parsed(text)
    return whole


def place_of(detail: Detail) -> tuple[str, int]:
    """What is greater of a later change of an item: stream, and place in it."""
    return detail["meta"]["stream"], int(detail["meta"]["sequenceNumber"])


def event_problems(plan: Plan, details: Sequence[Detail]) -> list[str]:
    """What the events tell otherwise than the plan has it: each item's in the order of its places."""
    told: dict[tuple[str, str], list[Detail]] = {}
    for detail in sorted(details, key=place_of):
        told.setdefault((detail["meta"]["id"], detail["meta"]["sk"]), []).append(detail)
    found = [
        problem
        for key, history in plan.histories().items()
        for problem in _history_problems(key, history, told.pop((key.id, key.sk), []))
    ]
    found += [f"{name}: {len(events)} events of what nobody wrote" for name, events in told.items()]
    return found[:MOST_PROBLEMS]


def _history_problems(key: Key, history: Sequence[Change], told: Sequence[Detail]) -> Iterator[str]:
    if len(history) != len(told):
        yield f"{key}: {len(told)} events of {len(history)} changes"
        return
    for number, (change, detail) in enumerate(zip(history, told, strict=True)):
        for wrong in _wrong(change, detail):
            yield f"{key}, change {number}, {change.name}: {wrong}"


def _wrong(change: Change, detail: Detail) -> Iterator[str]:
    expected = f"{change.key.item_type}{change.name.capitalize()}"
    if detail["meta"]["change"] != expected:
        yield f"is told as {detail['meta']['change']}"
    if not says(detail.get("new"), change.new):
        yield "the new image is another"
    if change.name == REMOVE and not says(detail.get("old"), change.old):
        yield "the old image is another"
    if change.name == MODIFY and not _tells_difference(change, detail.get("changed", {})):
        yield "other attributes are said to have changed"
    if change.name == INSERT and "changed" in detail:
        yield "something is said to have changed"


def _tells_difference(change: Change, changed: Mapping[str, Mapping[str, Any]]) -> bool:
    old, new = change.old or {}, change.new or {}
    names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    if changed.keys() != names:
        return False
    return all(
        says(_side(changed[name], side, name), _side(image, name, name))
        for name in names
        for side, image in (("old", old), ("new", new))
    )


def _side(mapping: Mapping[str, Any], member: str, name: str) -> dict[str, Any] | None:
    """The attribute on one side alone, by its name; None where it is not there."""
    return {name: mapping[member]} if member in mapping else None
