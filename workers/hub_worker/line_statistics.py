"""What is counted of NDJSON: bytes, lines, their digest, and lines by FHIR resource type.

Memory is bounded: a line up to LONGEST_HELD_LINE is held and checked as JSON; of a longer one, which may be
as long as the object, only the type is sought as it passes by.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import msgspec

from hub_worker.fhir_types import FHIR_R4_TYPES
from hub_worker.long_lines import TopLevelType

LONGEST_HELD_LINE = 4 * 1024 * 1024
OTHER = "other"
"""Lines that are JSON but of no resource type of FHIR R4: what they name instead may be content, so it is
not kept."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _Line(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's name


_decoder = msgspec.json.Decoder(_Line)


class LineStatistics:
    """Takes content piece by piece. A last line without a line break counts; blank lines are counted
    apart."""

    def __init__(self, longest_held: int = LONGEST_HELD_LINE) -> None:
        self._longest_held = longest_held
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._lines = 0
        self._blank = 0
        self._malformed = 0
        self._types: Counter[str] = Counter()
        self._held = bytearray()
        self._long: TopLevelType | None = None

    def add(self, content: bytes) -> None:
        """The next piece of the content."""
        if self._bytes == 0 and content.startswith(_BYTE_ORDER_MARK):
            text = content[len(_BYTE_ORDER_MARK) :]
        else:
            text = content
        self._digest.update(content)
        self._bytes += len(content)
        *whole, rest = text.split(b"\n")
        for line in whole:
            self._end_line(line)
        self._hold(rest)

    def result(self) -> dict[str, Any]:
        """What was counted; the content is at its end."""
        if self._held or self._long:
            self._end_line(b"")
        return {
            "bytes": self._bytes,
            "lines": self._lines,
            "blankLines": self._blank,
            "malformedLines": self._malformed,
            "sha256": self._digest.hexdigest(),
            "resourceTypes": dict(sorted(self._types.items())),
        }

    def _hold(self, part: bytes) -> None:
        """A part of a line whose end has not come."""
        if self._long is None and len(self._held) + len(part) > self._longest_held:
            self._long = TopLevelType()
            self._long.feed(bytes(self._held))
            self._held.clear()
        if self._long is not None:
            self._long.feed(part)
        else:
            self._held += part

    def _end_line(self, part: bytes) -> None:
        if self._held or self._long or len(part) > self._longest_held:
            self._hold(part)
            found = self._long.found() if self._long else _type_of(bytes(self._held))
            blank = self._long is None and not self._held.strip()
            self._held.clear()
            self._long = None
        else:
            found = _type_of(part)
            blank = not part.strip()
        self._count(found, blank=blank)

    def _count(self, resource_type: str | None, *, blank: bool) -> None:
        if blank:
            self._blank += 1
            return
        self._lines += 1
        if resource_type is None:
            self._malformed += 1
        else:
            self._types[resource_type if resource_type in FHIR_R4_TYPES else OTHER] += 1


def _type_of(line: bytes) -> str | None:
    """The resource type that a line names, None where it is no JSON object."""
    try:
        return _decoder.decode(line).resourceType
    except (msgspec.MsgspecError, UnicodeError):
        return None
    except RecursionError:  # nested deeper than the parser goes, which takes no fault of the line
        nested = TopLevelType()
        nested.feed(line)
        return nested.found()
