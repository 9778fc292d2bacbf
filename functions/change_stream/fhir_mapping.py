"""Items as FHIR R4 resources, by the templates of item_types.json.

A resource is made of a base item and, where its template asks for them, the items that are parts of it. It
shows them as they are when it is made: a stream keeps the order of changes of one item and no other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from operator import itemgetter
from typing import Any

import msgspec

from change_stream.attribute_values import Doubtful, Image, encode
from change_stream.errors import Malformed, MalformedRecord, MappingError, Unmapped
from change_stream.fhir_templates import Compiler, Fill, Scope
from change_stream.item_types import ItemType, item_types

_first = itemgetter(0)
_is_fhir_id = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII).fullmatch


@dataclass(frozen=True)
class Aggregate:
    """The items that make up one resource: its base type, and the types whose items are parts of it."""

    base: ItemType
    parts: tuple[ItemType, ...]
    fill: Fill

    @cached_property
    def keys(self) -> tuple[tuple[ItemType, Callable[[str], bool]], ...]:
        """All of them, each with what says whether an item of the type may have a sort key."""
        return tuple((one, one.fhir.takes) for one in (self.base, *self.parts) if one.fhir)


class ResourceKey(msgspec.Struct, frozen=True):
    """Which resource an item belongs to."""

    resource_type: str
    resource_id: str


def resource_id(parts: Sequence[str]) -> str:
    """The id of the resource that the values of identifying attributes name: a single value that FHIR takes
    as an id is one, anything else has a hash, 32 hexadecimal digits."""
    if len(parts) == 1 and _is_fhir_id(parts[0]):
        return parts[0]
    return hashlib.sha256(msgspec.json.encode(list(parts))).hexdigest()[:32]


class FhirMappings:
    """The mappings of all declared types."""

    def __init__(self, types: Mapping[str, ItemType]) -> None:
        self._types = types
        mapped = [one for one in types.values() if one.fhir]
        templates = {one.name: (_place(one), _template(one)) for one in mapped if _role(one) == "part"}
        compiler = Compiler(lambda kind, item_id: f"{kind}/{resource_id([item_id])}", templates)
        self._aggregates = {
            _resource(base): Aggregate(
                base,
                tuple(one for one in mapped if _role(one) == "part" and _resource(one) == _resource(base)),
                compiler.compile(_template(base), _resource(base))[0],
            )
            for base in mapped
            if _role(base) == "base"
        }

    def aggregate(self, resource_type: str) -> Aggregate:
        """The items that make up a resource of a type that is declared."""
        return self._aggregates[resource_type]

    def key_of(self, item_type: str, item_id: str, sk: str) -> ResourceKey | None:
        """The resource that an item belongs to, None for a type that is no part of FHIR."""
        fhir = self._types[item_type].fhir
        if fhir is None:
            return None
        named = [item_id if name == "id" else sk for name in fhir.identified_by]
        return ResourceKey(fhir.resource, resource_id(named))

    def build(self, resource_type: str, items: Iterable[Image]) -> bytes | None:
        """The resource as JSON text, or None without its base item; raises `MappingError` where a value does
        not fit, `MalformedRecord` where an item is none of DynamoDB."""
        plain = self.plain(resource_type, items, [])
        return None if plain is None else encode(plain)

    def plain(self, resource_type: str, items: Iterable[Image], doubtful: Doubtful) -> dict[str, Any] | None:
        """The resource as plain values, numbers as raw tokens of JSON; otherwise as `build`."""
        aggregate = self._aggregates[resource_type]
        by_type = self._by_type(aggregate, items)
        bases = by_type.get(aggregate.base.name, [])
        if not bases:
            return None
        base = bases[0]
        key = self.key_of(aggregate.base.name, _text(base, "id"), _text(base, "sk"))
        filled = aggregate.fill(Scope(base, by_type, doubtful)) or {}
        return {"resourceType": resource_type, "id": key.resource_id if key else "", **filled}

    def check_key(self, item_type: str, sk: str) -> None:
        """Raises `MappingError` for a sort key under which items of the type are not looked for."""
        declared = self._types[item_type]
        if declared.fhir and not declared.fhir.takes(sk):
            raise MappingError(_place(declared), Unmapped.KEY)

    def _by_type(self, aggregate: Aggregate, items: Iterable[Image]) -> dict[str, list[Image]]:
        """The items of a resource by type. One that lies where those of another type are looked for is an
        error: left out, it would make a resource without what belongs to it, or none."""
        by_type: dict[str, list[Image]] = {}
        for sk, item in sorted(((_text(one, "sk"), one) for one in items), key=_first):
            name = item.get("itemType", {}).get("S", "")
            for one, takes in aggregate.keys:
                if takes(sk) != (one.name == name):
                    raise MappingError(_place(one), Unmapped.KEY)
            by_type.setdefault(name, []).append(item)
        return by_type


@cache
def fhir_mappings() -> FhirMappings:
    """The mappings of this code's declaration, made when first asked for."""
    return FhirMappings(item_types())


def build_resource(kind: str, items: Iterable[Image]) -> bytes | None:
    """`FhirMappings.build` by the declared types."""
    return fhir_mappings().build(kind, items)


def _text(item: Image, name: str) -> str:
    value = item.get(name, {}).get("S")
    if type(value) is not str:
        raise MalformedRecord(Malformed.KEYS)
    return value


def _role(one: ItemType) -> str:
    return one.fhir.role if one.fhir else ""


def _resource(one: ItemType) -> str:
    return one.fhir.resource if one.fhir else ""


def _template(one: ItemType) -> Mapping[str, Any]:
    return one.fhir.template if one.fhir else {}


def _place(one: ItemType) -> str:
    """What errors call the place of a type's values: the resource, and the part's name within it."""
    return _resource(one) if _role(one) == "base" else f"{_resource(one)}.{one.name}"
