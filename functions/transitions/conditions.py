"""Conditions on the old and the new image of an item.

Values are compared as DynamoDB does: numbers by value, sets in any order (Amazon DynamoDB Developer Guide,
«Comparison operator and function reference»). Only attributes that a condition names are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from change_stream.attribute_values import same_value
from transitions.errors import UnreadableRecord

Value = Mapping[str, Any]
"""An attribute value as a stream gives it, such as `{"N": "10"}`."""

Image = Mapping[str, Value]

_LENGTHS = ("L", "SS", "NS", "BS")


@dataclass(frozen=True)
class Is:
    """`attribute` of the new image, or of the old one, equals `value`."""

    attribute: str
    value: Value
    image: str = "new"

    def holds(self, old: Image, new: Image) -> bool:
        """Whether the condition holds; raises `UnreadableRecord`."""
        return equal((new if self.image == "new" else old).get(self.attribute), self.value)


@dataclass(frozen=True)
class Becomes:
    """`attribute` equals `value` now and did not before."""

    attribute: str
    value: Value

    def holds(self, old: Image, new: Image) -> bool:
        """Whether the condition holds; raises `UnreadableRecord`."""
        now, before = new.get(self.attribute), old.get(self.attribute)
        return equal(now, self.value) and not equal(before, self.value)


@dataclass(frozen=True)
class Crosses:
    """A number, or the length of a list or set, reaches `threshold` from below. What is absent, or of another
    type, is below before and has reached nothing now."""

    attribute: str
    threshold: Decimal

    def holds(self, old: Image, new: Image) -> bool:
        """Whether the condition holds; raises `UnreadableRecord`."""
        now, before = measure(new.get(self.attribute)), measure(old.get(self.attribute))
        return now is not None and now >= self.threshold and (before is None or before < self.threshold)


@dataclass(frozen=True)
class Changed:
    """Any of `attributes` is another than before, has come or has gone."""

    attributes: tuple[str, ...]

    def holds(self, old: Image, new: Image) -> bool:
        """Whether the condition holds; raises `UnreadableRecord`."""
        return any(not equal(old.get(name), new.get(name)) for name in self.attributes)


@dataclass(frozen=True)
class All:
    """Every one of `conditions` holds."""

    conditions: tuple[Condition, ...]

    def holds(self, old: Image, new: Image) -> bool:
        """Whether all conditions hold; raises `UnreadableRecord`."""
        return all(one.holds(old, new) for one in self.conditions)


Condition = Is | Becomes | Crosses | Changed | All


def equal(one: Value | None, other: Value | None) -> bool:
    """Whether both are absent, or equal to DynamoDB; raises `UnreadableRecord`."""
    if one is None or other is None:
        return one is other
    try:
        return same_value(one, other)
    except (ArithmeticError, AttributeError, TypeError, ValueError, RecursionError):
        raise UnreadableRecord("An attribute that a rule compares is none of DynamoDB's.") from None


def measure(value: Value | None) -> Decimal | None:
    """What a threshold is held against: a number's value, or a length; None for anything else. Raises
    `UnreadableRecord`."""
    try:
        if not value:
            return None
        if "N" in value:
            return Decimal(value["N"])
        return next((Decimal(len(value[kind])) for kind in _LENGTHS if kind in value), None)
    except (InvalidOperation, TypeError, ValueError):
        raise UnreadableRecord("An attribute that a rule measures is none of DynamoDB's.") from None
