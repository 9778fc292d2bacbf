"""Reading the keys of a FHIR resource out of a line of NDJSON, without parsing the whole of it.

The keys are those of FHIR R4 «Resource» and «Meta»: resourceType, id, meta.versionId, meta.lastUpdated.
"""

from __future__ import annotations

import codecs
import re
from enum import StrEnum

import msgspec

from common.byte_spans import ByteSpans
from common.units import MEBIBYTE
from healthlake_export.fhir_r4 import RESOURCE_TYPES

MAX_DEPTH = 800
"""Levels of nesting that are let through. FHIR resources have some twenty; common parsers of what is
published here give up at about a thousand. The fewer are let through, the more lines are long enough to be
looked at."""

_SHORTEST_TOO_DEEP = len("[]") * (MAX_DEPTH + 1)
"""Bytes that so many levels take at least."""

_OBJECT_BYTES, _SAVED_BY_A_LIST = len('{"":}'), len('"":')
_DEEPEST_OBJECT_BYTES = _OBJECT_BYTES * MAX_DEPTH + len("{}")
_FEW_LISTS = 100
_UNREAD = 2 * MAX_DEPTH - _FEW_LISTS
"""Bytes at the begin of a text whose brackets are not counted: see `is_too_deep`."""


class Rejection(StrEnum):
    """Why a line is quarantined."""

    NOT_UTF8 = "NOT_UTF8"
    NOT_JSON = "NOT_JSON"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    WRONG_TYPE = "WRONG_TYPE"
    NO_RESOURCE_TYPE = "NO_RESOURCE_TYPE"
    NO_ID = "NO_ID"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    TOO_DEEP = "TOO_DEEP"
    TOO_LONG = "TOO_LONG"
    EXPORT_ERROR = "EXPORT_ERROR"
    EVENT_REFUSED = "EVENT_REFUSED"


class Meta(msgspec.Struct, frozen=True, gc=False):
    """A resource's version, and the instant it was written, both as the text that the resource has."""

    versionId: str | None = None  # noqa: N815 - FHIR's names are the names in the JSON
    lastUpdated: str | None = None  # noqa: N815


class ResourceKeys(msgspec.Struct, frozen=True, gc=False):
    """What identifies one version of a resource. Of what `read_keys` returns `resourceType` is one of
    R4's, and `id` is never empty."""

    resourceType: str = ""  # noqa: N815
    id: str = ""
    meta: Meta | None = None


_KEYS = msgspec.json.Decoder(ResourceKeys)
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)
_OBJECT_START = re.compile(rb"[ \t\r\n]*\{")
_BRACKETS_AND_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def read_keys(text: bytes) -> ResourceKeys | Rejection:
    """The keys of the resource in `text`, or why it has to be quarantined.

    What passes is UTF-8 and JSON in full (RFC 8259), in the parts that are not read as well.
    """
    if not is_utf8(text):
        return Rejection.NOT_UTF8
    try:
        keys = _KEYS.decode(text)
    except msgspec.ValidationError:
        return _why_invalid(text)
    except (msgspec.DecodeError, UnicodeError):
        return Rejection.NOT_JSON
    except RecursionError:
        return Rejection.TOO_DEEP
    if is_too_deep(text):
        return Rejection.TOO_DEEP
    if not keys.resourceType:
        return Rejection.NO_RESOURCE_TYPE
    if not keys.id:
        return Rejection.NO_ID
    return keys if keys.resourceType in RESOURCE_TYPES else Rejection.UNKNOWN_TYPE


def is_utf8(text: bytes) -> bool:
    """Whether `text` is UTF-8 (RFC 3629)."""
    if text.isascii():
        return True
    try:
        if len(text) <= MEBIBYTE:
            text.decode()
        else:
            _decode_in_pieces(text)
    except UnicodeDecodeError:
        return False
    return True


def _decode_in_pieces(text: bytes) -> None:
    """Decoded as one, a line with a single emoji would take four times its length in memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(text), MEBIBYTE):
        decoder.decode(text[start : start + MEBIBYTE])
    decoder.decode(b"", final=True)


def _why_invalid(text: bytes) -> Rejection:
    """The decoder stops at the first wrong type, before it has seen the rest: the syntax comes first."""
    try:
        _SYNTAX.decode(text)
    except msgspec.DecodeError:
        return Rejection.NOT_JSON
    except RecursionError:
        return Rejection.TOO_DEEP
    if is_too_deep(text):
        return Rejection.TOO_DEEP
    return Rejection.WRONG_TYPE if _OBJECT_START.match(text) else Rejection.NOT_AN_OBJECT


def is_any_too_deep(texts: ByteSpans) -> bool:
    """Whether any of many texts nests deeper than `MAX_DEPTH`: `is_too_deep` for all of them, with its first
    two questions, which clear nearly every text, asked without a call."""
    content, count = texts.content, texts.content.count
    if max(texts.lengths, default=0) < _SHORTEST_TOO_DEEP:
        return False
    return any(
        is_too_deep(content, begin, end)
        for begin, end, size in zip(texts.begins, texts.ends, texts.lengths, strict=True)
        if size >= _SHORTEST_TOO_DEEP
        and (
            (lists := count(b"]", begin + _UNREAD, end)) > _FEW_LISTS
            or size + _SAVED_BY_A_LIST * lists >= _DEEPEST_OBJECT_BYTES
        )
    )


def is_too_deep(text: bytes, begin: int = 0, end: int | None = None) -> bool:
    """Whether `text` from `begin` to `end`, which has to be valid JSON, nests deeper than `MAX_DEPTH`.

    The decoder's own limit differs between Python versions. Counting brackets is quick, but on long texts
    takes nearly as long as decoding: only closing ones are counted, and none of the first `_UNREAD` bytes.
    If the deepest place is among those, each level takes two of them, but for lists that end behind them:
    where those are few, that makes `MAX_DEPTH` levels at most, and where they are many, all are counted. If
    it is behind them, every level's closing bracket is too: a list's is counted, and an object takes five
    bytes, or is counted as well. What is still in doubt is read bracket by bracket.
    """
    end = len(text) if end is None else end
    size = end - begin
    if size < _SHORTEST_TOO_DEEP:
        return False
    counted = begin + _UNREAD
    lists = text.count(b"]", counted, end)
    if lists > _FEW_LISTS:
        counted = begin
        lists = text.count(b"]", counted, end)
    if size + _SAVED_BY_A_LIST * lists < _DEEPEST_OBJECT_BYTES:
        return False
    if lists + text.count(b"}", counted, end) <= MAX_DEPTH:
        return False
    depth = 0
    for token in _BRACKETS_AND_STRINGS.finditer(text, begin, end):
        first = text[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False
