"""Whether a resource is what FHIR R4 defines: elements, types and values by fhir.resources, whose version R4B
differs from R4 in none of the types that the hub maps, and codes by the value sets that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")

# HL7 FHIR R4, «ObservationStatus»; fhir.resources names the first four.
_LONGER_VALUE_SETS = {
    ("Observation", "status"): {
        "registered",
        "preliminary",
        "final",
        "amended",
        "corrected",
        "cancelled",
        "entered-in-error",
        "unknown",
    },
}


def faults(text: bytes) -> list[str]:
    """What is wrong with a resource, nothing for one that is right."""
    resource = json.loads(text)
    model_of: Any = get_fhir_model_class(resource["resourceType"])
    try:
        model = model_of.model_validate_json(text)
    except ValueError as error:
        return [str(error)]
    found = list(_unknown_codes(model))
    if not _ID.fullmatch(resource.get("id", "")):
        found.append("id")
    return found + list(_empty(resource, resource["resourceType"]))


def _unknown_codes(model: BaseModel) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, BaseModel):
                yield from _unknown_codes(one)
        extra: Any = field.json_schema_extra
        codes: set[str] = set(extra.get("enum_values", ()) if extra else ())
        codes = _LONGER_VALUE_SETS.get((type(model).__name__, name), codes)
        if codes and value is not None and value not in codes:
            yield f"{type(model).__name__}.{name}"


def _empty(value: Any, place: str) -> Iterator[str]:
    """Elements without content, which FHIR forbids and the library lets pass."""
    if value in ("", [], {}, None):
        yield f"{place} is empty"
    members = value.items() if isinstance(value, dict) else []
    for name, one in members:
        yield from _empty(one, f"{place}.{name}")
    for one in value if isinstance(value, list) else []:
        yield from _empty(one, place)
