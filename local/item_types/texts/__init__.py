"""What is written for an item type: texts of the template and of the runbook, with marks for its names."""

from __future__ import annotations

from pathlib import Path

from local.item_types.declared import DeclaredType


def text(name: str) -> str:
    """A text by its name."""
    return (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8")


def filled(written: str, one: DeclaredType) -> str:
    """`written` with the names of a type in place of their marks."""
    return written.replace("@Type@", one.name).replace("@kebab@", one.kebab).replace("@type@", one.camel)
