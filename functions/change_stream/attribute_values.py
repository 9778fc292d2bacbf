"""From DynamoDB's attribute values to plain JSON that has every number digit for digit.

Follows Amazon DynamoDB API Reference, «AttributeValue»: a number comes as text of up to 38 digits, which
neither a double nor a parser that makes doubles can hold. Here it becomes a token of the JSON text as it is.
Sets become arrays in the order in which they come, binary values base64, NULL null.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from change_stream.errors import Malformed, MalformedRecord

_encode = msgspec.json.Encoder().encode

_is_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII).fullmatch
"""What JSON takes as a number (RFC 8259), which is what DynamoDB writes."""

_is_carried = re.compile(
    r"0|-?[1-9][0-9]{0,14}|-?(?=[0-9.]{3,16}\Z)(?!0\.000)(?:0|[1-9][0-9]{0,6})\.[0-9]*[1-9]", re.ASCII
).fullmatch
"""What a program that reads numbers as doubles writes again as it was: fifteen digits at most, no zero at the
end that only its writer knows of, and no exponent, which a JVM writes for what has a point and lies below
0.001 or from ten million on."""

Image = Mapping[str, Mapping[str, Any]]
"""An item: attribute values by name, as a stream or DynamoDB's low-level client gives them."""

Doubtful = list[str]
"""Numbers that were met and that a program which reads JSON numbers as doubles would write differently."""


def text_of(image: Image) -> bytes:
    """The item as JSON text; raises `MalformedRecord`."""
    return encode(plain_item(image, []))


def encode(value: Any) -> bytes:
    """The JSON text of plain values; raises `MalformedRecord` for text that UTF-8 cannot hold."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        raise MalformedRecord(Malformed.TEXT) from None


def plain_item(image: Image, doubtful: Doubtful) -> dict[str, Any]:
    """The item's values, numbers as raw tokens of JSON; adds to `doubtful`. Raises `MalformedRecord`."""
    try:
        return {name: plain_value(value, doubtful) for name, value in image.items()}
    except AttributeError:
        raise MalformedRecord(Malformed.VALUE) from None


def plain_value(value: Mapping[str, Any], doubtful: Doubtful) -> Any:
    """One attribute value, as `plain_item` writes those of an item."""
    try:
        [(kind, content)] = value.items()
    except (AttributeError, ValueError):
        raise MalformedRecord(Malformed.VALUE) from None
    if kind == "S":
        if type(content) is str:
            return content
    elif kind == "N":
        return number_token(content, doubtful)
    elif kind in _OTHERS:
        return _OTHERS[kind](content, doubtful)
    raise MalformedRecord(Malformed.VALUE)


def number_token(text: Any, doubtful: Doubtful) -> msgspec.Raw:
    """A number as a token of JSON, with the digits of `text`; raises `MalformedRecord`."""
    if type(text) is not str:
        raise MalformedRecord(Malformed.NUMBER)
    if not _is_carried(text):
        if not _is_number(text):
            raise MalformedRecord(Malformed.NUMBER)
        doubtful.append(text)
    return msgspec.Raw(text)


def _binary(content: Any, _doubtful: Doubtful) -> str:
    if isinstance(content, bytes | bytearray):
        return b64encode(content).decode()
    try:
        a2b_base64(content, strict_mode=True)
    except (NotBase64, TypeError, ValueError):
        raise MalformedRecord(Malformed.BINARY) from None
    return str(content)


def _bool(content: Any, _doubtful: Doubtful) -> bool:
    if type(content) is not bool:
        raise MalformedRecord(Malformed.VALUE)
    return content


def _null(content: Any, _doubtful: Doubtful) -> None:
    if content is not True:
        raise MalformedRecord(Malformed.VALUE)


def _map(content: Any, doubtful: Doubtful) -> dict[str, Any]:
    return plain_item(content, doubtful)


def _list(content: Any, doubtful: Doubtful) -> list[Any]:
    return [plain_value(one, doubtful) for one in _members(content)]


def _texts(content: Any, _doubtful: Doubtful) -> list[str]:
    members = _members(content)
    if any(type(one) is not str for one in members):
        raise MalformedRecord(Malformed.VALUE)
    return list(members)


def _numbers(content: Any, doubtful: Doubtful) -> list[msgspec.Raw]:
    return [number_token(one, doubtful) for one in _members(content)]


def _binaries(content: Any, doubtful: Doubtful) -> list[str]:
    return [_binary(one, doubtful) for one in _members(content)]


def _members(content: Any) -> Sequence[Any]:
    if not isinstance(content, list | tuple):
        raise MalformedRecord(Malformed.VALUE)
    return content


_OTHERS: dict[str, Callable[[Any, Doubtful], Any]] = {
    "M": _map,
    "L": _list,
    "BOOL": _bool,
    "NULL": _null,
    "SS": _texts,
    "NS": _numbers,
    "B": _binary,
    "BS": _binaries,
}


def same_value(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two readable attribute values are equal to DynamoDB: numbers by value, sets in any order."""
    if one == other:
        return True
    if one.keys() != other.keys():
        return False
    [(kind, left)] = one.items()
    return _EQUALS[kind](left, other[kind]) if kind in _EQUALS else False


def _same_maps(left: Image, right: Image) -> bool:
    return left.keys() == right.keys() and all(same_value(left[name], right[name]) for name in left)


def _same_lists(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(map(same_value, left, right))


_EQUALS: dict[str, Callable[[Any, Any], bool]] = {
    "N": lambda left, right: Decimal(left) == Decimal(right),
    "NS": lambda left, right: set(map(Decimal, left)) == set(map(Decimal, right)),
    "SS": lambda left, right: set(left) == set(right),
    "BS": lambda left, right: set(left) == set(right),
    "M": _same_maps,
    "L": _same_lists,
}
