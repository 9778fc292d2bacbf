"""Templates of FHIR resources, as item_types.json has them.

A template is the resource with words of this module where values of the item stand; everything else in it is
constant and stands there as it is:

    {"$from": "birthDate", "type": "date"}       a value; a list of names goes down into maps
      "required": true                            without it there is no resource
      "default": "final"                          what stands there without it
      "codes": {"M": "male"}                      what the item's words are as codes
      "type": "reference", "to": "Patient"        the resource of another item, whose id the value is
    {"$each": "givenNames", "type": "string"}    every member of a list or set, which may have codes, too
    {"$each": "phones", "template": {...}}       every map of a list, each with a template of its own
    {"$parts": "Address"}                        every item of a type below the same id, by its template

What has words in it and finds none of its values is left out, constants and all; so are empty lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from change_stream.attribute_values import Doubtful, Image
from change_stream.errors import MappingError, Unmapped
from change_stream.fhir_values import PRIMITIVES, Primitive, Unfit, Value, coded


class Scope(msgspec.Struct):
    """What a template is filled from: an item, the items that are its parts by the names of their types, and
    where doubtful numbers are noted."""

    item: Image
    parts: Mapping[str, Sequence[Image]]
    doubtful: Doubtful


Fill = Callable[[Scope], Any]
"""Returns the element, or None where there is none; raises `MappingError`."""


@dataclass(frozen=True)
class Compiler:
    """Makes functions of templates. `references` makes the reference to the resource of one type from an id,
    `parts` are the templates of items that are parts of others, by the names of their types."""

    references: Callable[[str, str], str]
    parts: Mapping[str, tuple[str, Any]]

    def compile(self, template: Any, element: str) -> tuple[Fill, bool]:
        """What fills a template, and whether it has words, so that it may come to nothing."""
        if isinstance(template, list):
            return self._list(template, element)
        if not isinstance(template, dict):
            return (lambda _scope: template), False
        if "$from" in template:
            return self._value(template, element), True
        if "$each" in template:
            return self._each(template, element), True
        if "$parts" in template:
            return self._parts(template["$parts"]), True
        return self._object(template, element)

    def _object(self, template: Mapping[str, Any], element: str) -> tuple[Fill, bool]:
        members = [(name, *self.compile(one, f"{element}.{name}")) for name, one in template.items()]
        constant = not any(varies for _name, _fill, varies in members)

        def fill(scope: Scope) -> dict[str, Any] | None:
            filled, found = {}, constant
            for name, fill_member, varies in members:
                value = fill_member(scope)
                if value is not None:
                    filled[name] = value
                    found = found or varies
            return filled if found else None

        return fill, not constant

    def _list(self, template: Sequence[Any], element: str) -> tuple[Fill, bool]:
        members = [self.compile(one, element) for one in template]

        def fill(scope: Scope) -> list[Any] | None:
            values = [value for fill_one, _ in members if (value := fill_one(scope)) is not None]
            return values or None

        return fill, any(varies for _, varies in members)

    def _parts(self, item_type: str) -> Fill:
        name, template = self.parts[item_type]
        fill_part, _ = self.compile(template, name)

        def fill(scope: Scope) -> list[Any] | None:
            parts = (fill_part(Scope(item, {}, scope.doubtful)) for item in scope.parts.get(item_type, ()))
            return [part for part in parts if part is not None] or None

        return fill

    def _value(self, template: Mapping[str, Any], element: str) -> Fill:
        *above, last = _path(template["$from"])
        read = self._primitive(template)
        default, required = template.get("default"), template.get("required", False)

        def fill(scope: Scope) -> Any:
            item = _inside(scope.item, above) if above else scope.item
            value = item.get(last)
            filled = None
            if value is not None and "NULL" not in value:
                try:
                    filled = read(value, scope.doubtful)
                except Unfit as unfit:
                    raise MappingError(element, unfit.reason) from None
            if filled is None:
                filled = default
                if filled is None and required:
                    raise MappingError(element, Unmapped.MISSING)
            return filled

        return fill

    def _each(self, template: Mapping[str, Any], element: str) -> Fill:
        path = _path(template["$each"])
        if "template" in template:
            return self._each_map(path, template["template"], element)
        read = self._primitive(template)

        def fill(scope: Scope) -> list[Any] | None:
            value = _found(scope.item, path)
            members = [] if value is None else _members(value, element)
            filled = (_read(read, member, scope, element) for member in members if "NULL" not in member)
            return [one for one in filled if one is not None] or None

        return fill

    def _each_map(self, path: Sequence[str], template: Any, element: str) -> Fill:
        fill_one, _ = self.compile(template, element)

        def fill(scope: Scope) -> list[Any] | None:
            value = _found(scope.item, path)
            filled = []
            for member in [] if value is None else _members(value, element):
                if not isinstance(member.get("M"), dict):
                    raise MappingError(element, Unmapped.WRONG_TYPE)
                filled.append(fill_one(Scope(member["M"], {}, scope.doubtful)))
            return [one for one in filled if one is not None] or None

        return fill

    def _primitive(self, template: Mapping[str, Any]) -> Primitive:
        if "codes" in template:
            return coded(template["codes"])
        if template["type"] != "reference":
            return PRIMITIVES[template["type"]]
        text, target = PRIMITIVES["string"], template["to"]

        def read(value: Value, doubtful: Doubtful) -> str | None:
            item_id = text(value, doubtful)
            return None if item_id is None else self.references(target, item_id)

        return read


def _path(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else tuple(names)


def _found(item: Image, path: Sequence[str]) -> Value | None:
    """The value at a path of names through maps, unless it is null."""
    *above, last = path
    value = _inside(item, above).get(last)
    return None if value is None or "NULL" in value else value


def _inside(item: Image, path: Sequence[str]) -> Image:
    """The map at a path of names through maps, an empty one where there is none."""
    for name in path:
        inside = item.get(name, {}).get("M")
        item = inside if isinstance(inside, dict) else {}
    return item


def _members(value: Value, element: str) -> Sequence[Value]:
    """The members of a list as they stand, those of a set sorted by text, since DynamoDB keeps no order."""
    if isinstance(value.get("L"), list):
        members: Sequence[Value] = value["L"]
        return members
    for kind in ("SS", "NS"):
        if isinstance(value.get(kind), list):
            return [{kind[0]: member} for member in sorted(value[kind])]
    raise MappingError(element, Unmapped.WRONG_TYPE)


def _read(read: Primitive, value: Value, scope: Scope, element: str) -> Any:
    try:
        return read(value, scope.doubtful)
    except Unfit as unfit:
        raise MappingError(element, unfit.reason) from None
