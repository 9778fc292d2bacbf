"""The resources of the template that each item type has: its rule, its queue, and what takes from it."""

from __future__ import annotations

from collections.abc import Sequence

from local.item_types.declared import DeclaredType
from local.item_types.texts import filled, text

MOST_METRICS = 10
"""Metrics that an alarm can add up (Amazon CloudWatch User Guide, «Using math expressions»)."""


def alarm_names(one: DeclaredType) -> list[str]:
    """The alarms of a type, without the stack's name."""
    names = [f"{one.kebab}-rule-dead-letters", f"{one.kebab}-changes-dead-letters"]
    return names if one.resource else [*names, f"{one.kebab}-changes-waiting"]


def throttled_names(types: Sequence[DeclaredType]) -> list[str]:
    """The alarms on throttled consumers, each for as many as an alarm can add up."""
    groups = range(len(_groups(types)))
    return ["consumers-throttled" + ("-" + chr(ord("a") + number) if number else "") for number in groups]


def alarm_resources(types: Sequence[DeclaredType]) -> list[str]:
    """Logical ids of all alarms of the section."""
    found = []
    for one in types:
        found += [f"{one.name}RuleDeadLettersAlarm", f"{one.name}ChangesDeadLettersAlarm"]
        found += [] if one.resource else [f"{one.name}ChangesWaitingAlarm"]
    return found + [f"{_pascal(name)}Alarm" for name in throttled_names(types)]


def consumers(one: DeclaredType) -> str:
    """The resources of a type as text of the template."""
    parts = [text("template_rule_and_queue")]
    if one.resource:
        parts.append(text("template_function"))
    parts.append(text("template_dead_letter_alarms"))
    if not one.resource:
        parts.append(text("template_waiting_alarm"))
    return "".join(filled(part, one) for part in parts)


def throttled_alarms(types: Sequence[DeclaredType]) -> str:
    """The alarms on throttled consumers as text of the template."""
    return "".join(
        text("template_throttled_alarm")
        .replace("@Throttled@", _pascal(name))
        .replace("@throttled@", name)
        .replace("@metrics@", "".join(filled(text("template_throttles"), one) for one in group))
        for name, group in zip(throttled_names(types), _groups(types), strict=True)
    )


def _groups(types: Sequence[DeclaredType]) -> list[Sequence[DeclaredType]]:
    mapped = [one for one in types if one.resource]
    return [mapped[start : start + MOST_METRICS] for start in range(0, len(mapped), MOST_METRICS)]


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
