"""Whether HealthLake has a resource already as it is to be written."""

from __future__ import annotations

import json
from typing import Any


def same_content(stored: bytes, wanted: bytes) -> bool:
    """Whether two texts of a resource say the same, apart from `meta`, which HealthLake writes. Numbers are
    the same only with the same digits, since FHIR's 1.10 is not its 1.1."""
    try:
        return bool(_comparable(stored) == _comparable(wanted))
    except (ValueError, RecursionError):
        return False


def _comparable(content: bytes) -> Any:
    document = json.loads(content, parse_float=_number, parse_int=_number)
    if not isinstance(document, dict):
        raise ValueError("a resource is an object")
    return {name: value for name, value in document.items() if name != "meta"}


def _number(digits: str) -> tuple[str, str]:
    """A value that equals no text and no number with other digits."""
    return ("number", digits)
