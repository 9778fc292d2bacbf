"""What the runbook tells of the alarms that each item type has."""

from __future__ import annotations

from collections.abc import Sequence

from local.item_types.consumers import alarm_names, throttled_names
from local.item_types.declared import DeclaredType
from local.item_types.texts import filled, text

ROW_BEGINS = "| consumers of one type of record miss changes |"
"""The row of the alarms under «How bad is it?»."""


def row(types: Sequence[DeclaredType]) -> str:
    """The row under «How bad is it?»."""
    names = [name for one in types for name in alarm_names(one)] + throttled_names(types)
    return f"{ROW_BEGINS} {', '.join(names)} | a day |"


def sections(types: Sequence[DeclaredType]) -> str:
    """A section for each alarm."""
    told = [
        filled(text("runbook_rule") + text("runbook_mapped" if one.resource else "runbook_unmapped"), one)
        for one in types
    ]
    told += [text("runbook_throttled").replace("@throttled@", name) for name in throttled_names(types)]
    return "".join(told)
