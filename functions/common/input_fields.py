"""Fields of an input that a person or a program gives an execution, and their refusal by name."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from common.errors import InvalidInput

_LONGEST_NAME = 64
_NAME = re.compile(r"[\w.@:/ -]{1,64}", re.ASCII)


def require_known_fields(request: Any, known: Collection[str]) -> dict[str, Any]:
    """`request`, which must be a JSON object with no other fields than `known`; raises `InvalidInput`."""
    if not isinstance(request, dict):
        raise InvalidInput("The input must be a JSON object, such as {}.")
    unknown = sorted(str(name) for name in request if name not in known)
    if unknown:
        name = unknown[0][:_LONGEST_NAME]
        raise InvalidInput(f"The input has the unknown field {name!r}; known are {', '.join(known)}.")
    return request


def name_field(field: str, value: Any) -> str:
    """Who or what is named in a field, `unknown` where nothing is; raises `InvalidInput`."""
    if value is None:
        return "unknown"
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidInput(
            f"The input's {field!r} must be a name of at most 64 letters, digits, spaces and . _ @ : / -"
        )
    return value


def flag_field(field: str, value: Any) -> bool:
    """Whether a field is true, which it is not where nothing is given; raises `InvalidInput`."""
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidInput(f"The input's {field!r} must be true or false.")
    return value


def number_field(field: str, value: Any, minimum: int, maximum: int) -> int | None:
    """The whole number in a field, None where nothing is given; raises `InvalidInput`."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise InvalidInput(f"The input's {field!r} must be a whole number from {minimum} to {maximum}.")
    return value
