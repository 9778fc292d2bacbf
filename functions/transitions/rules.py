"""Rules of transitions: what they are, and the check of the file that declares them.

The file's form is `rules.schema.json`, which tests hold this check against. What no schema says is checked
here as well: that names in templates are declared, that keys name the transition, and that no condition is
one that can never hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from transitions.conditions import All, Becomes, Changed, Condition, Crosses, Is
from transitions.errors import InvalidRules
from transitions.templates import BodyTemplate, KeyTemplate, UnknownName

RULES_FILE = Path(__file__).with_name("rules.json")

MOST_RULES = 100
MOST_NESTED = 8

_KINDS_OF_CHANGE = ("insert", "modify", "remove")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_ITEM_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9]*", re.ASCII)


@dataclass(frozen=True)
class QueueOutput:
    """A message to the workers' queue, with the attributes in `carry`."""

    carry: tuple[str, ...]


@dataclass(frozen=True)
class ObjectOutput:
    """An object, written from templates over the attributes in `carry`."""

    carry: tuple[str, ...]
    key: KeyTemplate
    body: BodyTemplate


@dataclass(frozen=True)
class Rule:
    """What a change of an item of one type leads to. `on` are the names of the stream's changes."""

    name: str
    item_type: str
    on: frozenset[str]
    when: Condition
    output: QueueOutput | ObjectOutput


def load_rules(path: Path = RULES_FILE) -> dict[str, tuple[Rule, ...]]:
    """The rules of each item type, in the order of the file; raises `InvalidRules` naming rule and field."""
    try:
        written = json.loads(path.read_bytes(), parse_float=Decimal)
    except (OSError, ValueError, RecursionError):
        raise InvalidRules(f"{path.name} is no JSON file that can be read.") from None
    found: dict[str, tuple[Rule, ...]] = {}
    for rule in parse_rules(written):
        found[rule.item_type] = (*found.get(rule.item_type, ()), rule)
    return found


def parse_rules(written: Any) -> tuple[Rule, ...]:
    """The rules in the content of a file; raises `InvalidRules` naming rule and field."""
    top = _Reader("rules.json", written)
    top.only("rules")
    listed = top.list_of("rules", at_most=MOST_RULES)
    rules = tuple(_rule(_Reader(f"rule {_called(one, number)}", one)) for number, one in enumerate(listed))
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRules(f"rule {name}: name is given to another rule too.")
    return rules


def _called(written: Any, number: int) -> str:
    """What a message calls a rule: by its name, or by its place where it has none that could be shown."""
    name = written.get("name") if isinstance(written, dict) else None
    return (
        name
        if isinstance(name, str) and len(name) <= 64 and _NAME.fullmatch(name)
        else f"number {number + 1}"
    )


class _Reader:
    """Reads the fields of one object; every reader raises `InvalidRules` that names the field."""

    def __init__(self, place: str, written: Any) -> None:
        self.place = place
        if not isinstance(written, dict):
            raise InvalidRules(f"{place}: must be an object.")
        self._written: Mapping[str, Any] = written

    def refuse(self, field: str, why: str) -> InvalidRules:
        return InvalidRules(f"{self.place}: {field} {why}.")

    def only(self, *fields: str) -> None:
        for name in self._written:
            if name not in fields:
                raise self.refuse(repr(name[:64]), f"is no field; there are {', '.join(fields)}")

    def has(self, field: str) -> bool:
        return field in self._written

    def any(self, field: str) -> Any:
        if field not in self._written:
            raise self.refuse(field, "is missing")
        return self._written[field]

    def text(self, field: str, pattern: re.Pattern[str] | None = None, at_most: int = 10_000) -> str:
        value = self.any(field)
        if not isinstance(value, str) or not 0 < len(value) <= at_most:
            raise self.refuse(field, f"must be a text of 1 to {at_most} characters")
        if pattern is not None and not pattern.fullmatch(value):
            raise self.refuse(field, f"must match {pattern.pattern}")
        return value

    def list_of(self, field: str, at_least: int = 0, at_most: int | None = None) -> list[Any]:
        value = self.any(field)
        if not isinstance(value, list) or len(value) < at_least or (at_most and len(value) > at_most):
            bounds = f"{at_least} to {at_most}" if at_most else f"at least {at_least}"
            raise self.refuse(field, f"must be a list of {bounds}")
        return value

    def names(self, field: str, at_least: int = 0) -> tuple[str, ...]:
        names = self.list_of(field, at_least)
        if not all(isinstance(one, str) and 0 < len(one) <= 255 for one in names):
            raise self.refuse(field, "must be names of attributes")
        if len(set(names)) < len(names):
            raise self.refuse(field, "names an attribute twice")
        return tuple(names)

    def inside(self, field: str) -> _Reader:
        return _Reader(f"{self.place}: {field}", self.any(field))


def _rule(rule: _Reader) -> Rule:
    rule.only("name", "itemType", "description", "on", "when", "output")
    name = rule.text("name", _NAME, 64)
    item_type = rule.text("itemType", _ITEM_TYPE, 64)
    rule.text("description")
    on = tuple(rule.list_of("on", at_least=1)) if rule.has("on") else ("insert", "modify")
    if not all(one in _KINDS_OF_CHANGE for one in on) or len(set(on)) < len(on):
        raise rule.refuse("on", f"must name some of {', '.join(_KINDS_OF_CHANGE)}, each once")
    when = _condition(rule.inside("when"))
    if "remove" in on and _asks_for_the_new(when):
        raise rule.refuse(
            "on", "names remove, after which there is no new image to hold the condition against"
        )
    if on == ("insert",) and _asks_for_the_old(when):
        raise rule.refuse("on", "names insert alone, before which there is no old image")
    return Rule(name, item_type, frozenset(one.upper() for one in on), when, _output(rule.inside("output")))


def _condition(condition: _Reader, depth: int = 0) -> Condition:
    if condition.has("all"):
        condition.only("all")
        if depth == MOST_NESTED:
            raise condition.refuse("all", f"is nested more than {MOST_NESTED} deep")
        inner = enumerate(condition.list_of("all", at_least=2), start=1)
        return All(
            tuple(
                _condition(_Reader(f"{condition.place}: all: {number}", one), depth + 1)
                for number, one in inner
            )
        )
    if condition.has("changed"):
        condition.only("changed")
        return Changed(condition.names("changed", at_least=1))
    kinds = [kind for kind in ("becomes", "is", "was", "crosses") if condition.has(kind)]
    if len(kinds) != 1:
        raise condition.refuse("the condition", "must have one of becomes, is, was, crosses, changed, all")
    condition.only("attribute", kinds[0])
    attribute = condition.text("attribute", at_most=255)
    if kinds == ["crosses"]:
        threshold = condition.any("crosses")
        if isinstance(threshold, bool) or not isinstance(threshold, int | Decimal):
            raise condition.refuse("crosses", "must be a number")
        return Crosses(attribute, Decimal(threshold))
    value = _attribute_value(condition, kinds[0])
    if kinds == ["becomes"]:
        return Becomes(attribute, value)
    return Is(attribute, value, "new" if kinds == ["is"] else "old")


def _attribute_value(condition: _Reader, field: str) -> dict[str, Any]:
    """A plain value as DynamoDB has it."""
    value = condition.any(field)
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | Decimal):
        return {"N": str(value)}
    raise condition.refuse(field, "must be a text, a number, true, false or null")


def _asks_for_the_new(condition: Condition) -> bool:
    if isinstance(condition, All):
        return any(_asks_for_the_new(one) for one in condition.conditions)
    return isinstance(condition, Becomes | Crosses) or (
        isinstance(condition, Is) and condition.image == "new"
    )


def _asks_for_the_old(condition: Condition) -> bool:
    if isinstance(condition, All):
        return any(_asks_for_the_old(one) for one in condition.conditions)
    return isinstance(condition, Is) and condition.image == "old"


def _output(output: _Reader) -> QueueOutput | ObjectOutput:
    output.only("queue", "object", "carry")
    carry = output.names("carry") if output.has("carry") else ()
    if output.has("queue") == output.has("object"):
        raise output.refuse("the output", "must have queue or object")
    if output.has("queue"):
        if output.any("queue") is not True:
            raise output.refuse("queue", "must be true")
        return QueueOutput(carry)
    written = output.inside("object")
    written.only("key", "body")
    try:
        key = KeyTemplate.parse(written.text("key", at_most=512))
    except UnknownName as fault:
        raise written.refuse("key", str(fault)) from None
    try:
        body = BodyTemplate.parse(written.any("body"), frozenset(carry))
    except UnknownName as fault:
        raise written.refuse("body", str(fault)) from None
    return ObjectOutput(carry, key, body)
