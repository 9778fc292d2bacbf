"""Keys of a resource together with the patients whom it names (FHIR R4 patient compartment).

Every resource type has a Struct of its own with just the members that lead to such references, and one
decoder reads lines of all types: it makes no objects for the rest of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, chain
from operator import attrgetter
from typing import Annotated, Any, Literal, Union, cast

import msgspec

from common.byte_spans import ByteSpans
from healthlake_export.fhir_r4 import RESOURCE_TYPES
from healthlake_export.loose_references import loosely_named_patients
from healthlake_export.patient_compartment import patient_id, reference_paths
from healthlake_export.resource_keys import (
    Rejection,
    ResourceKeys,
    is_any_too_deep,
    is_too_deep,
    is_utf8,
    read_keys,
)

_NOT_A_MEMBER = "the resource type of the Struct"
"""The tag is not kept in an instance, and a field may not share its name in the JSON. A resource that has
a member of this name with any other value is not decoded."""

_RELATIVE = "Patient/"
_MOST_KNOWN = 20_000
"""References that are remembered, some two megabytes of them."""


class Reference(msgspec.Struct, frozen=True, gc=False):
    """Of R4 «Reference» the only part that names a resource by its id."""

    reference: str = ""


class LooseKeys(ResourceKeys, frozen=True, gc=False):
    """Keys of a resource with a reference of another shape than R4's, and the ids of those patients that
    could be found all the same."""

    patients: tuple[str, ...] = ()


class KeyReader:
    """Reads lines of all types as `read_keys` does, and keeps what `patient_ids` needs besides."""

    def __init__(self) -> None:
        self._decode = decoder().decode
        self._decode_lines = decoder().decode_lines

    def read(self, text: bytes) -> ResourceKeys | Rejection:
        """The keys of the resource in `text`, or why it has to be quarantined."""
        try:
            keys = self._decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return _read_loosely(text)
        if not is_utf8(text):
            return Rejection.NOT_UTF8
        return Rejection.TOO_DEEP if is_too_deep(text) else keys

    def read_block(self, texts: ByteSpans) -> list[ResourceKeys] | None:
        """The keys of all of `texts`, in their order, at the decoder's own speed. None when not all are
        plain: those have to be read one by one, which may still find nothing wrong with any of them.

        `texts` are those of a `LineBlock`: a newline lies between two of them, with a curly bracket on either
        side. In JSON that is never within a value, so that as many values as lines are one on each.
        """
        if not texts:
            return []
        content = texts.content
        if not content.isascii() and not all(map(is_utf8, texts)):
            return None
        try:
            keys = self._decode_lines(memoryview(content)[texts.begins[0] : texts.ends[-1]])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        if len(keys) != len(texts):
            return None
        return None if is_any_too_deep(texts) else keys


@cache
def decoder() -> msgspec.json.Decoder[ResourceKeys]:
    """Decodes a resource of any R4 type that has an id into the Struct of its type. A `ValidationError`
    is raised for everything else, and for a resource with a reference of another shape than R4's."""
    return msgspec.json.Decoder(Union[tuple(_structs().values())])  # noqa: UP007 - a computed union


def _read_loosely(text: bytes) -> ResourceKeys | Rejection:
    """A reference of another shape than R4's is no reason to hold a resource back."""
    keys = read_keys(text)
    if isinstance(keys, Rejection):
        return keys
    patients = loosely_named_patients(keys.resourceType, keys.id, text)
    return LooseKeys(keys.resourceType, keys.id, keys.meta, patients)


def patient_ids(keys: ResourceKeys) -> tuple[str, ...]:
    """The ids of the patients whom a resource names, each once: a Patient's own, then in the order of the
    table's paths."""
    return tuple(_patients_of(keys, _PatientIds()))


def patient_columns(keys: Sequence[ResourceKeys]) -> tuple[list[str], array[int]]:
    """`patient_ids` of all of `keys` as an Arrow list column: the ids one after the other, and the offsets
    (C int, one more than there are keys) at which those of each begin. Fast when all are of one type."""
    known = _known_patients()
    types = set(map(type, keys))
    ways = _ways().get(types.pop()) if len(types) == 1 else None
    if ways is None:
        return _columns([_patients_of(one, known) for one in keys])
    first = ways.first(keys, known)
    more = [path for path in ways.others if any(map(known.__getitem__, path.references(keys)))]
    if more:
        return _columns([_with_more(*one, more, known) for one in zip(first, keys, strict=True)])
    if all(first):
        return first, _numbers(1 << len(first).bit_length())[: len(first) + 1]
    return list(filter(None, first)), array("i", accumulate(map(bool, first), initial=0))


@cache
def _numbers(count: int) -> array[int]:
    """From zero on. Of few counts, to be cut: counting takes longer."""
    return array("i", range(count))


class _PatientIds(dict[str, str]):
    """The patient whom a reference names, or an empty text, by the reference: the resources of one file
    name the same ones again and again."""

    def __missing__(self, reference: str) -> str:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = reference[len(_RELATIVE) :]
        # Nearly all are relative, with letters, digits and hyphens as id: the pattern would find the same.
        if not (reference.startswith(_RELATIVE) and found.replace("-", "").isalnum()):
            found = patient_id(reference) or ""
        self[reference] = found
        return found


@cache
def _known_patients() -> _PatientIds:
    return _PatientIds()


class _Path:
    """Leads from keys to the references at a path of the table, in C."""

    def __init__(self, path: str) -> None:
        *lists, last = path.split("[]")
        self._lists = [attrgetter(step.removeprefix(".")) for step in lists]
        self._reference = attrgetter(f"{last}.reference".removeprefix("."))

    def references(self, keys: Iterable[ResourceKeys]) -> Iterator[str]:
        found: Iterable[Any] = keys
        for members in self._lists:
            found = chain.from_iterable(map(members, found))
        return map(self._reference, found)


class _Ways:
    """How to find the patients in the keys of one resource type. The first is one at most of each
    resource: the id of a Patient, or a reference that does not repeat."""

    def __init__(self, resource_type: str) -> None:
        paths = reference_paths(resource_type)
        self._own = attrgetter("id") if resource_type == "Patient" else None
        has_first = self._own is None and bool(paths) and "[]" not in paths[0]
        self._first = _Path(paths[0]) if has_first else None
        self.others = [_Path(path) for path in paths[has_first:]]

    def first(self, keys: Sequence[ResourceKeys], known: _PatientIds) -> list[str]:
        """Of each of `keys` the id that the first way leads to, or an empty text."""
        if self._own is not None:
            return list(map(self._own, keys))
        if self._first is not None:
            return list(map(known.__getitem__, self._first.references(keys)))
        return [""] * len(keys)


@cache
def _ways() -> Mapping[type[ResourceKeys], _Ways]:
    return {struct: _Ways(resource_type) for resource_type, struct in _structs().items()}


def _patients_of(keys: ResourceKeys, known: _PatientIds) -> Sequence[str]:
    if isinstance(keys, LooseKeys):
        return keys.patients
    ways = _ways().get(type(keys))
    if ways is None:
        return ()
    return _with_more(ways.first((keys,), known)[0], keys, ways.others, known)


def _with_more(first: str, keys: ResourceKeys, paths: Iterable[_Path], known: _PatientIds) -> list[str]:
    found = [first] if first else []
    for path in paths:
        for patient in map(known.__getitem__, path.references((keys,))):
            if patient and patient not in found:
                found.append(patient)
    return found


def _columns(patients: Sequence[Sequence[str]]) -> tuple[list[str], array[int]]:
    offsets = array("i", accumulate(map(len, patients), initial=0))
    return list(chain.from_iterable(patients)), offsets


@cache
def _structs() -> Mapping[str, type[ResourceKeys]]:
    """The Struct of each resource type."""
    return {resource_type: _struct(resource_type) for resource_type in sorted(RESOURCE_TYPES)}


def _struct(resource_type: str) -> type[ResourceKeys]:
    struct = msgspec.defstruct(
        f"{resource_type}Keys",
        [
            ("resourceType", Literal[resource_type], resource_type),
            ("id", Annotated[str, msgspec.Meta(min_length=1)]),
            *_members(resource_type, [path.split(".") for path in reference_paths(resource_type)]),
        ],
        bases=(ResourceKeys,),
        module=__name__,
        tag_field="resourceType",
        tag=resource_type,
        rename={"resourceType": _NOT_A_MEMBER},
        kw_only=True,
        frozen=True,
        gc=False,
    )
    return cast(type[ResourceKeys], struct)


def _members(owner: str, paths: Iterable[Sequence[str]]) -> list[tuple[str, Any, Any]]:
    """The fields of a Struct that lead along `paths`: absent members have an empty value, not None, so
    that every path can be gone to its end."""
    rest: dict[str, list[Sequence[str]]] = {}
    for step, *steps in paths:
        rest.setdefault(step, []).append(steps)
    return [
        _member(f"{owner}.{step}", step, [steps for steps in more if steps]) for step, more in rest.items()
    ]


def _member(owner: str, step: str, paths: Sequence[Sequence[str]]) -> tuple[str, Any, Any]:
    struct: Any = Reference
    if paths:
        struct = msgspec.defstruct(owner, _members(owner, paths), module=__name__, frozen=True, gc=False)
    name = step.removesuffix("[]")
    return (name, struct, struct()) if name == step else (name, list[struct], ())
