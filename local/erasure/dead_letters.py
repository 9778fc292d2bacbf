"""Dead letters in quarantine. One that names the patient goes whole: what is left of a message could not be
sent to anybody."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import msgspec

from local.erasure.matching import Match, Matcher

_decode = msgspec.json.Decoder().decode
# No service encodes a text in another one so often.
_MOST_LEVELS = 32


def find_letter(content: bytes, matcher: Matcher) -> Match | None:
    """Whether a letter names the patient: in its body, which is JSON in JSON more than once, in an attribute,
    or anywhere else."""
    texts = _texts(content)
    return next((match for text in texts if (match := matcher.of_text(text)) is not None), None)


def _texts(content: bytes) -> Iterator[bytes]:
    """The content, and whatever texts are encoded in its strings, level by level."""
    level = [content]
    for _ in range(_MOST_LEVELS):
        yield from level
        level = [inner for text in level for inner in _inner_texts(text)]
        if not level:
            return


def _inner_texts(text: bytes) -> Iterator[bytes]:
    try:
        document = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    for value in _strings(document):
        yield value.encode("utf-8", "surrogatepass")
        binary = _binary(value)
        if binary:
            yield binary


def _strings(document: Any) -> Iterator[str]:
    """Every string of a document, names included."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            yield value


def _binary(value: str) -> bytes | None:
    """What a binary attribute, or a payload in base64, holds."""
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        return None
