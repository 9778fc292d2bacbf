"""Lines of NDJSON in one byte range of an object. A range owns the lines that start in it.

A line starts at the object's first byte or after a newline, so whatever ranges tile an object, each of
its lines belongs to exactly one of them. Accepted as they come: CRLF, blank lines, a missing last
newline, a byte order mark before the first line (it is counted with the line, and left out of its text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from common.units import MEBIBYTE

MAX_LINE_BYTES = 32 * MEBIBYTE
"""A longer line is never held in memory."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line at `offset` of the object, `length` bytes with its terminator; `text` is the line without
    terminator and byte order mark, and stands at `text_offset`."""

    offset: int
    length: int
    text: bytes
    text_offset: int


class OversizedLine(NamedTuple):
    """A line of more than `MAX_LINE_BYTES`, of which only the place is known."""

    offset: int
    length: int


class LinePlace(NamedTuple):
    """Where a line stands that is not held any more: `length` bytes from `offset`, with its terminator."""

    offset: int
    length: int


def reading_starts_at(start: int) -> int:
    """Where to read from for a range that begins at `start`: one byte earlier, which tells whether a
    line starts there."""
    return max(start - 1, 0)


class RangeLines:
    """The lines that start in `[start, end)`, iterated once over `chunks` of the object.

    `chunks` begin at `reading_starts_at(start)`, may be of any sizes and go to the object's end; no
    more of them are taken than the last line needs. While iterating it counts what it sees: `lines` and
    `blank_lines` (nothing but white space), `blank_bytes`, and from `first_line_at` to `lines_end_at`
    the bytes that all of them take. `first_line_at` stays None when no line starts in the range.
    """

    def __init__(
        self, chunks: Iterable[bytes], *, start: int, end: int, max_line_bytes: int = MAX_LINE_BYTES
    ) -> None:
        self._chunks = iter(chunks)
        self._start = start
        self._end = end
        self._max_line_bytes = max_line_bytes
        self.lines = 0
        self.blank_lines = 0
        self.blank_bytes = 0
        self.first_line_at: int | None = None
        self.lines_end_at: int | None = None

    def __iter__(self) -> Iterator[Line | OversizedLine]:
        first = self._find_first_line()
        if first is None or first >= self._end:
            return
        self.first_line_at = self.lines_end_at = first
        for offset, text, length in _split(self._chunks, first, self._max_line_bytes):
            self.lines_end_at = offset + length
            if text is None:
                self.lines += 1
                yield OversizedLine(offset, length)
            else:
                line = _line(offset, text, length)
                if line.text and not line.text.isspace():
                    self.lines += 1
                    yield line
                else:
                    self.blank_lines += 1
                    self.blank_bytes += length
                del line, text  # the next line may be as long as this one: never hold both
            if self.lines_end_at >= self._end:
                return

    def _find_first_line(self) -> int | None:
        """Go to the first line that starts at or after the range's start, and return its offset; None
        when the line before reaches past the range or to the end of the object."""
        if self._start == 0:
            return 0
        position = reading_starts_at(self._start)
        for chunk in self._chunks:
            newline = chunk.find(b"\n")
            if newline >= 0:
                self._chunks = chain((chunk[newline + 1 :],), self._chunks)
                return position + newline + 1
            position += len(chunk)
            if position >= self._end - 1:
                break
        return None


def line_at(offset: int, content: bytes) -> Line:
    """The line that is `content`, with its terminator, at `offset` of the object."""
    return _line(offset, content.removesuffix(b"\n"), len(content))


def _line(offset: int, text: bytes, length: int) -> Line:
    text_offset = offset
    if text.endswith(b"\r"):
        text = text[:-1]
    if offset == 0 and text.startswith(_BYTE_ORDER_MARK):
        text = text[len(_BYTE_ORDER_MARK) :]
        text_offset = len(_BYTE_ORDER_MARK)
    return Line(offset, length, text, text_offset)


def _split(
    chunks: Iterable[bytes], offset: int, max_line_bytes: int
) -> Iterator[tuple[int, bytes | None, int]]:
    """Offset, text without newline (None when it is too long to hold) and length with newline of every
    line in `chunks`, which begin at `offset`, the start of a line."""
    held: list[bytes] = []
    seen = 0
    for chunk in chunks:
        begin = 0
        while (newline := chunk.find(b"\n", begin)) >= 0:
            length = seen + newline + 1 - begin
            if length > max_line_bytes + 1:
                held.clear()
                yield offset, None, length
            elif seen:
                held.append(chunk[begin:newline])
                yield offset, _joined(held), length
            else:
                yield offset, chunk[begin:newline], length
            offset += length
            begin = newline + 1
            seen = 0
        if begin < len(chunk):
            seen += len(chunk) - begin
            if seen <= max_line_bytes:
                held.append(chunk[begin:])
            else:
                held.clear()
    if seen:
        yield offset, _joined(held) if seen <= max_line_bytes else None, seen


def _joined(parts: list[bytes]) -> bytes:
    """The parts as one, emptying the list, so that they do not outlive the line."""
    whole = b"".join(parts)
    parts.clear()
    return whole
