"""Records in quarantine. One whose line concerns the patient keeps its reason and the place it came from, so
that what was quarantined still adds up, and loses the line."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec

from local.erasure.findings import Findings
from local.erasure.matching import Match, Matcher

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_KEPT = ("reason", "source")


def find_records(
    content: bytes, matcher: Matcher, of_raw_object: Callable[[str], Match | None]
) -> tuple[Findings, bytes]:
    """What the records of an object have of the patient, and the object without it. `of_raw_object` tells of
    the line that a record names by its key."""
    findings = Findings()
    lines: list[bytes] = []
    for line in content.splitlines(keepends=True):
        record = _record(line)
        match = _match(line, record, matcher, of_raw_object)
        if match is None:
            lines.append(line)
        else:
            findings.add(match)
            lines.append(_without_line(record))
    return findings, b"".join(lines)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = _decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _match(
    line: bytes,
    record: dict[str, Any] | None,
    matcher: Matcher,
    of_raw_object: Callable[[str], Match | None],
) -> Match | None:
    if record is None:
        return matcher.of_text(line)
    raw_key = record.get("rawKey")
    if isinstance(raw_key, str):
        return of_raw_object(raw_key)
    text = _line_of(record)
    # Without a line it is a record that something was erased from, or one of another kind.
    return _of_quarantined(line if text is None else text, matcher)


def _of_quarantined(text: bytes, matcher: Matcher) -> Match | None:
    """Even a mention goes: whom a line is about that could not be processed is not known."""
    found = matcher.of_line(text)
    return found if found is not None and found.erases else matcher.of_text(text)


def _line_of(record: dict[str, Any]) -> bytes | None:
    if isinstance(record.get("line"), str):
        return str(record["line"]).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(record["lineBase64"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None


def _without_line(record: dict[str, Any] | None) -> bytes:
    if record is None or not all(name in record for name in _KEPT):
        return b""
    return _encode({**{name: record[name] for name in _KEPT}, "erased": True}) + b"\n"
