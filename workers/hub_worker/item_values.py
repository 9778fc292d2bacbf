"""Values of Python as DynamoDB's attribute values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def to_attribute(value: Any) -> Any:
    """`value` as a low-level attribute value; raises TypeError for a type that no job result has."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case float():
            return {"N": repr(value)}
        case Mapping():
            return {"M": {str(name): to_attribute(inner) for name, inner in value.items()}}
        case list() | tuple():
            return {"L": [to_attribute(inner) for inner in value]}
    raise TypeError(f"no attribute value for {type(value).__name__}")
