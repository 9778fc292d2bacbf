"""Finding the patients whom a resource names where its references are not of the shape that R4 gives them:
an object instead of a list, a list instead of an object, the text alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import msgspec

from healthlake_export.patient_compartment import patient_id, reference_paths

_Part = dict[str, msgspec.Raw] | list[msgspec.Raw] | str


def loosely_named_patients(resource_type: str, identity: str, text: bytes) -> tuple[str, ...]:
    """The ids of the patients who can be found in `text`, which has to be a JSON object, in the order of
    the table's paths; of a Patient its own id comes first."""
    found = {identity: None} if resource_type == "Patient" else {}
    for path in reference_paths(resource_type):
        steps = [*path.replace("[]", "").split("."), "reference"]
        for reference in _texts_at(steps, text):
            patient = patient_id(reference)
            if patient is not None:
                found[patient] = None
    return tuple(found)


def _texts_at(steps: Sequence[str], text: bytes | msgspec.Raw) -> Iterator[str]:
    for part in _without_lists(text):
        if isinstance(part, dict) and steps and steps[0] in part:
            yield from _texts_at(steps[1:], part[steps[0]])
        elif isinstance(part, str) and len(steps) <= 1:
            yield part


def _without_lists(text: bytes | msgspec.Raw) -> Iterator[dict[str, msgspec.Raw] | str]:
    """What `text` is, or what its lists hold, however they nest; nothing of numbers, booleans and nulls."""
    left: list[bytes | msgspec.Raw] = [text]
    while left:
        try:
            part = _parts().decode(left.pop())
        except msgspec.ValidationError:
            continue
        if isinstance(part, list):
            left.extend(reversed(part))
        else:
            yield part


@cache
def _parts() -> msgspec.json.Decoder[_Part]:
    return msgspec.json.Decoder(_Part)
