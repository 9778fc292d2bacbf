"""The types of items that are declared in item_types.json, by the schema beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

DECLARATION = Path(__file__).with_name("item_types.json")
SCHEMA = Path(__file__).with_name("item_types.schema.json")


@dataclass(frozen=True)
class FhirMapping:
    """How items of a type become FHIR: `base` items are a resource each, `part` items belong to the one of
    the base item below the same id. Items have the sort key `sk`, or one that begins with `sk_prefix`.
    The resource's id comes of the attributes `identified_by`."""

    resource: str
    role: str
    sk: str | None
    sk_prefix: str | None
    identified_by: tuple[str, ...]
    template: Mapping[str, Any]

    def takes(self, sk: str) -> bool:
        """Whether an item of the type may have this sort key."""
        return sk == self.sk if self.sk is not None else sk.startswith(self.sk_prefix or "")


@dataclass(frozen=True)
class ItemType:
    name: str
    description: str
    fhir: FhirMapping | None


def read_item_types(declaration: bytes) -> dict[str, ItemType]:
    """The types that a declaration has, by name. It is not checked: tests hold it to its schema."""
    return {one["name"]: _item_type(one) for one in msgspec.json.decode(declaration)}


@cache
def item_types() -> dict[str, ItemType]:
    """The declared types by name, read when first asked for."""
    return read_item_types(DECLARATION.read_bytes())


def _item_type(declared: Mapping[str, Any]) -> ItemType:
    fhir = declared["fhir"]
    return ItemType(declared["name"], declared["description"], _mapping(fhir) if fhir else None)


def _mapping(fhir: Mapping[str, Any]) -> FhirMapping:
    return FhirMapping(
        resource=fhir["resource"],
        role=fhir["role"],
        sk=fhir["key"].get("sk"),
        sk_prefix=fhir["key"].get("skPrefix"),
        identified_by=tuple(fhir["identifiedBy"]),
        template=fhir["template"],
    )
