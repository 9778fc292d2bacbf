"""Values of items as values of FHIR's primitive types.

Follows HL7 FHIR R4, «Datatypes», which says by expressions what each type takes. A value that does not fit
is refused and never bent: a resource that HealthLake refuses helps nobody, and a guess would be worse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from change_stream.attribute_values import Doubtful, number_token
from change_stream.errors import MalformedRecord, Unmapped

_is_date = re.compile(r"\d{4}(?:-\d\d(?:-\d\d)?)?", re.ASCII).fullmatch
_is_date_time = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)", re.ASCII
).fullmatch
_is_code = re.compile(r"[^\s]+(?:\s[^\s]+)*").fullmatch
_is_uri = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", re.ASCII).fullmatch
_is_integer = re.compile(r"-?(?:0|[1-9][0-9]{0,9})", re.ASCII).fullmatch
_forbidden_in_strings = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]").search

_LARGEST_INTEGER = 2**31 - 1


class Unfit(Exception):
    """A value does not fit its element. Never leaves the mapping, which knows the element."""

    def __init__(self, reason: Unmapped) -> None:
        super().__init__(reason.value)
        self.reason = reason


Value = Mapping[str, Any]
"""An attribute value of DynamoDB."""

Primitive = Callable[[Value, Doubtful], Any]
"""Returns what stands in the resource, None for nothing; raises `Unfit`."""


def _text(value: Value) -> str:
    """The text of a value, stripped of blanks around it; of a number its digits."""
    text = value["S"] if "S" in value else value.get("N")
    if type(text) is not str:
        raise Unfit(Unmapped.WRONG_TYPE)
    return text.strip()


def _string(value: Value, _doubtful: Doubtful) -> str | None:
    text = _text(value)
    if _forbidden_in_strings(text):
        raise Unfit(Unmapped.STRING)
    return text or None


def _matching(matches: Callable[[str], Any], reason: Unmapped) -> Primitive:
    def read(value: Value, _doubtful: Doubtful) -> str | None:
        text = _text(value)
        if text and not matches(text):
            raise Unfit(reason)
        return text or None

    return read


def _is_real_date(text: str) -> bool:
    if not _is_date(text):
        return False
    try:
        date.fromisoformat((text + "-01-01")[:10])
    except ValueError:
        return False
    return True


def _is_real_date_time(text: str) -> bool:
    if _is_real_date(text):
        return True
    if not _is_date_time(text):
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def _boolean(value: Value, _doubtful: Doubtful) -> bool:
    flag = value.get("BOOL")
    if type(flag) is not bool:
        raise Unfit(Unmapped.WRONG_TYPE)
    return flag


def _decimal(value: Value, doubtful: Doubtful) -> msgspec.Raw | None:
    """A number's own digits. A text keeps zeros at its end, which FHIR counts as precision and DynamoDB's
    numbers lose."""
    text = _text(value)
    try:
        return number_token(text, doubtful) if text else None
    except MalformedRecord:
        raise Unfit(Unmapped.NUMBER) from None


def _integer(smallest: int) -> Primitive:
    def read(value: Value, doubtful: Doubtful) -> msgspec.Raw | None:
        text = _text(value)
        if text and not (_is_integer(text) and smallest <= int(text) <= _LARGEST_INTEGER):
            raise Unfit(Unmapped.NUMBER)
        return number_token(text, doubtful) if text else None

    return read


PRIMITIVES: Mapping[str, Primitive] = {
    "string": _string,
    "code": _matching(_is_code, Unmapped.CODE),
    "uri": _matching(_is_uri, Unmapped.URI),
    "date": _matching(_is_real_date, Unmapped.DATE),
    "dateTime": _matching(_is_real_date_time, Unmapped.DATE_TIME),
    "instant": _matching(
        lambda text: bool(_is_date_time(text)) and _is_real_date_time(text), Unmapped.DATE_TIME
    ),
    "boolean": _boolean,
    "decimal": _decimal,
    "integer": _integer(-(2**31)),
    "unsignedInt": _integer(0),
    "positiveInt": _integer(1),
}
"""The types that a template may ask for, beside `reference`."""


def coded(codes: Mapping[str, str]) -> Primitive:
    """Codes by the words that items have for them; no other word is one."""

    def read(value: Value, _doubtful: Doubtful) -> str | None:
        text = _text(value)
        if text and text not in codes:
            raise Unfit(Unmapped.CODE)
        return codes.get(text)

    return read
