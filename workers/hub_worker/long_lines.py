"""The resource type of a JSON object that is too long to be held, found as it passes by."""

from __future__ import annotations

import re

_STRUCTURE = re.compile(rb'["{}\[\]:,]')
_IN_STRING = re.compile(rb'["\\]')
_LONGEST_NAME = 64
_KEY = b"resourceType"


class TopLevelType:
    """Takes an object piece by piece and keeps the text of its member `resourceType`, not of one further
    inside.

    Only brackets and quotes are looked at: whether all between them is JSON is not checked.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._is_value = False
        self._key = b""
        self._text = bytearray()
        self._type = b""
        self._sound = True

    def feed(self, part: bytes) -> None:
        """The next piece."""
        position = 0
        while position < len(part):
            position = self._string(part, position) if self._in_string else self._structure(part, position)

    def found(self) -> str | None:
        """The type, empty where there is none; None where the brackets do not close."""
        if self._depth or self._in_string or not self._sound:
            return None
        return self._type.decode("ascii", "replace")

    def _structure(self, part: bytes, position: int) -> int:
        match = _STRUCTURE.search(part, position)
        if match is None:
            return len(part)
        sign = match[0]
        if sign == b'"':
            self._in_string = True
            self._text.clear()
        elif sign in b"{[":
            self._sound = self._sound and (self._depth > 0 or sign == b"{")
            self._depth += 1
        elif sign in b"}]":
            self._depth -= 1
            self._sound = self._sound and self._depth >= 0
        elif self._depth == 1:
            self._is_value = sign == b":"
        return match.end()

    def _string(self, part: bytes, position: int) -> int:
        if self._escaped:
            self._escaped = False
            self._keep(part[position : position + 1])
            return position + 1
        match = _IN_STRING.search(part, position)
        self._keep(part[position : match.start() if match else len(part)])
        if match is None:
            return len(part)
        if match[0] == b"\\":
            self._escaped = True
        else:
            self._end_string()
        return match.end()

    def _keep(self, text: bytes) -> None:
        """Keep text of a member's name or value, as much of it as a type could have."""
        if self._depth == 1 and len(self._text) <= _LONGEST_NAME:
            self._text += text[: _LONGEST_NAME + 1]

    def _end_string(self) -> None:
        self._in_string = False
        if self._depth != 1:
            return
        if not self._is_value:
            self._key = bytes(self._text)
        elif self._key == _KEY:
            self._type = bytes(self._text)
