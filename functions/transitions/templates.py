"""Templates of objects: a key of names of `meta`, and a body that is JSON with `${...}` in its texts.

The body is a JSON value and no text, so that nothing an attribute holds can break out of its place: what is
put in is escaped by whoever writes the JSON. Numbers have the digits that DynamoDB keeps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from change_stream.attribute_values import encode

META = (
    "rule",
    "itemType",
    "change",
    "id",
    "itemHash",
    "stream",
    "sequenceNumber",
    "time",
    "transitionId",
    "table",
)
"""What every transition has. `time` is when the item changed, `id` the item's key attribute, `stream` the
label of that in which a later change has a greater `sequenceNumber`."""

IN_KEYS = ("rule", "itemType", "change", "itemHash", "sequenceNumber", "transitionId")
"""What of it may stand in an object's key: not the item's own id, which may say whom it is about."""

KEY_CHARACTERS = re.compile(r"[A-Za-z0-9._=/-]*", re.ASCII)

_OF_AN_IMAGE = re.compile(r"\$\{(?:new|old)\.")
_PLACE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")


class UnknownName(ValueError):
    """What is wrong with a template, in words for whoever wrote it."""


@dataclass(frozen=True)
class Place:
    """A value to put in: of `meta`, of the `new` image or of the `old` one."""

    source: str
    name: str


Part = str | Place


@dataclass(frozen=True)
class KeyTemplate:
    """The key of an object. Each transition has its own, and the same each time that it is made."""

    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, text: str) -> KeyTemplate:
        """The template in `text`; raises `UnknownName`."""
        if _OF_AN_IMAGE.search(text):
            raise UnknownName("names an attribute, and keys stand in logs and listings, where none belongs")
        parts = _parts(text, frozenset())
        for part in parts:
            if isinstance(part, str) and not KEY_CHARACTERS.fullmatch(part):
                raise UnknownName("has characters other than letters, digits and . _ = / -")
            if isinstance(part, Place) and part.name not in IN_KEYS:
                raise UnknownName(f"names {part.name}, but of meta only {', '.join(IN_KEYS)} stand in keys")
        if Place("meta", "transitionId") not in parts:
            raise UnknownName("must name meta.transitionId, so that no two transitions write one object")
        if text.startswith("/") or "//" in text or ".." in text:
            raise UnknownName("has an empty part or dots for one")
        return cls(parts)

    def render(self, meta: Mapping[str, str]) -> str:
        """The key of one transition."""
        return "".join(part if isinstance(part, str) else meta[part.name] for part in self.parts)


@dataclass(frozen=True)
class BodyTemplate:
    """The body of an object: JSON whose texts may be templates."""

    written: Any

    @classmethod
    def parse(cls, written: Any, declared: frozenset[str]) -> BodyTemplate:
        """The template in a JSON value, over the `declared` attributes; raises `UnknownName`."""
        return cls(_compiled(written, declared))

    def render(self, meta: Mapping[str, str], images: Mapping[str, Mapping[str, Any]]) -> bytes:
        """The JSON text; `images` are the plain values of `new` and `old`."""
        return encode(_rendered(self.written, {**images, "meta": meta}))


@dataclass(frozen=True)
class _Text:
    parts: tuple[Part, ...]


def _parts(text: str, declared: frozenset[str]) -> tuple[Part, ...]:
    parts: list[Part] = []
    end = 0
    for found in _PLACE.finditer(text):
        parts.append(text[end : found.start()])
        end = found.end()
        if found[0] == "$${":
            parts.append("${")
        elif found[1] is None:
            raise UnknownName("has a ${ that nothing closes; $${ stands for ${")
        else:
            parts.append(_place(found[1], declared))
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def _place(name: str, declared: frozenset[str]) -> Place:
    source, _, attribute = name.partition(".")
    if source == "meta" and attribute in META:
        return Place(source, attribute)
    if source in ("new", "old") and attribute in declared:
        return Place(source, attribute)
    if source in ("new", "old"):
        raise UnknownName(f"names {name[:80]}, which carry does not declare")
    raise UnknownName(f"names {name[:80]}, which is none of meta.<name>, new.<attribute>, old.<attribute>")


def _compiled(written: Any, declared: frozenset[str]) -> Any:
    if isinstance(written, str):
        return _Text(_parts(written, declared))
    if isinstance(written, dict):
        return {name: _compiled(value, declared) for name, value in written.items()}
    if isinstance(written, list):
        return [_compiled(value, declared) for value in written]
    return msgspec.Raw(str(written)) if isinstance(written, Decimal) else written


def _rendered(compiled: Any, sources: Mapping[str, Mapping[str, Any]]) -> Any:
    if isinstance(compiled, _Text):
        if len(compiled.parts) == 1 and isinstance(compiled.parts[0], Place):
            place = compiled.parts[0]
            return sources[place.source].get(place.name)
        return "".join(part if isinstance(part, str) else _as_text(sources, part) for part in compiled.parts)
    if isinstance(compiled, dict):
        return {name: _rendered(value, sources) for name, value in compiled.items()}
    if isinstance(compiled, list):
        return [_rendered(value, sources) for value in compiled]
    return compiled


def _as_text(sources: Mapping[str, Mapping[str, Any]], place: Place) -> str:
    """A value within a text: nothing where it is absent, else itself or its JSON text."""
    if place.name not in sources[place.source]:
        return ""
    value = sources[place.source][place.name]
    return value if isinstance(value, str) else encode(value).decode()
