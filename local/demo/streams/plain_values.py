"""Whether plain JSON says what an image says, found by walking both, with no code of the product."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from local.demo.streams.items import Image


class Digits(str):
    """A number, as its digits stand in JSON."""

    __slots__ = ()


def parsed(text: str | bytes) -> Any:
    """The JSON, with every number as the digits that it has there."""
    return json.loads(text, parse_float=Digits, parse_int=Digits)


def says(plain: Any, image: Image | None) -> bool:
    """Whether parsed JSON has the attributes of the image and their values, to the last digit."""
    if image is None or not isinstance(plain, dict):
        return plain is None and image is None
    return _is_map(plain, image)


def same_number(digits: Any, number: str) -> bool:
    """Whether the digits are those of the number, its scale included; 1E+2 is 100."""
    return isinstance(digits, Digits) and f"{Decimal(digits):f}" == f"{Decimal(number):f}"


def _is(plain: Any, attribute: Mapping[str, Any]) -> bool:
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return type(plain) is str and bool(plain == value)
        case "B":
            return bool(plain == b64encode(value).decode())
        case "N":
            return same_number(plain, value)
        case "BOOL":
            return plain is value
        case "NULL":
            return plain is None
        case "M":
            return isinstance(plain, dict) and _is_map(plain, value)
        case "L":
            return _is_list(plain, value)
        case "SS":
            return _is_list(_in_order(plain), [{"S": one} for one in sorted(value)])
        case "NS":
            return _is_list(_in_order(plain), [{"N": one} for one in sorted(value)])
    return False


def _is_map(plain: Mapping[str, Any], image: Image) -> bool:
    return plain.keys() == image.keys() and all(_is(plain[name], value) for name, value in image.items())


def _is_list(plain: Any, attributes: list[dict[str, Any]]) -> bool:
    return (
        isinstance(plain, list)
        and len(plain) == len(attributes)
        and all(_is(*pair) for pair in zip(plain, attributes, strict=True))
    )


def _in_order(plain: Any) -> Any:
    """A set has no order."""
    return sorted(plain) if isinstance(plain, list) else plain
