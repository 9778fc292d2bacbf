"""Lines of NDJSON in one byte range of an object. A range owns the lines that start in it.

A line starts at the object's first byte or after a newline, so whatever ranges tile an object, each of
its lines belongs to exactly one of them. Accepted as they come: CRLF, blank lines, a missing last
newline, a byte order mark before the first line (it is counted with the line, and left out of its text).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from common.byte_spans import ByteSpans
from common.units import MEBIBYTE

MAX_LINE_BYTES = 32 * MEBIBYTE
"""A longer line is never held in memory."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OPENING, _CLOSING = b"{}"


class Line(NamedTuple):
    """A line at `offset` of the object, `length` bytes with its terminator; `text` is the line without
    terminator and byte order mark, and stands at `text_offset`."""

    offset: int
    length: int
    text: bytes
    text_offset: int


class LineBlock(NamedTuple):
    """Consecutive lines from `offset` on, `length` bytes with their newlines. The text of each is all of it
    up to the newline, and goes from a curly bracket to a curly bracket."""

    offset: int
    length: int
    texts: ByteSpans

    def lines(self) -> Iterator[Line]:
        """The lines one by one."""
        offset = self.offset
        for text in self.texts:
            length = len(text) + 1
            yield Line(offset, length, text, offset)
            offset += length


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
    """The lines that start in `[start, end)`, read once from `chunks` of the object.

    `chunks` begin at `reading_starts_at(start)`, may be of any sizes and go to the object's end; no
    more of them are taken than the last line needs. While reading it counts what it sees: `lines` and
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
        for part in self.blocks():
            if isinstance(part, LineBlock):
                yield from part.lines()
            else:
                yield part
            del part  # the next one may be as long: never hold both

    def blocks(self) -> Iterator[LineBlock | Line | OversizedLine]:
        """The lines, many at once where they stand plainly in a chunk; what is not plain comes alone."""
        first = self._find_first_line()
        if first is None or first >= self._end:
            return
        self.first_line_at = self.lines_end_at = first
        for part in _split(self._chunks, first, self._max_line_bytes):
            if isinstance(part, OversizedLine):
                self.lines_end_at = part.offset + part.length
                self.lines += 1
                yield part
            elif isinstance(part, LineBlock) and self._owns(part):
                self.lines_end_at = part.offset + part.length
                self.lines += len(part.texts)
                yield part
            else:
                yield from self._one_by_one(part.offset, list(part.texts), part.length)
            del part  # the next one may be as long: never hold both
            if self.lines_end_at >= self._end:
                return

    @property
    def ahead(self) -> int:
        """Bytes of the range behind the lines that were given."""
        return max(self._end - (self.lines_end_at or self._start), 0)

    def _owns(self, block: LineBlock) -> bool:
        """Whether the last of these lines starts in the range, and with it all of them."""
        return block.offset + block.texts.begins[-1] - block.texts.begins[0] < self._end

    def _one_by_one(self, offset: int, texts: list[bytes], length: int) -> Iterator[Line]:
        texts.reverse()
        block_end = offset + length
        while texts and offset < self._end:
            text = texts.pop()
            # The last line of the object may have no newline.
            length = min(len(text) + 1, block_end - offset)
            line = _line(offset, text, length)
            self.lines_end_at = offset = offset + length
            if line.text and not line.text.isspace():
                self.lines += 1
                yield line
            else:
                self.blank_lines += 1
                self.blank_bytes += length
            del line, text  # the next line may be as long as this one: never hold both

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


class _Lines(NamedTuple):
    """Consecutive lines at `offset`, `length` bytes with their newlines, from whose texts something may have
    to be taken off."""

    offset: int
    length: int
    texts: list[bytes]


def _split(
    chunks: Iterable[bytes], offset: int, max_line_bytes: int
) -> Iterator[LineBlock | _Lines | OversizedLine]:
    """The lines in `chunks`, which begin at `offset`, the start of a line: together those that lie within one
    chunk, and alone those that do not."""
    held: list[bytes] = []
    seen = 0
    for chunk in chunks:
        begin = 0
        if seen and (newline := chunk.find(b"\n")) >= 0:
            length, begin = seen + newline + 1, newline + 1
            held.append(chunk[:newline])
            yield _held_line(offset, length, held, length - 1, max_line_bytes)
            offset, seen = offset + length, 0
        end = max(chunk.rfind(b"\n", begin) + 1, begin)
        for found in _whole_lines(chunk, begin, end, offset, max_line_bytes):
            yield found
            offset += found.length
            del found
        rest = chunk[end:]
        del chunk
        if rest:
            seen += len(rest)
            if seen <= max_line_bytes:
                held.append(rest)
            else:
                held.clear()
    if seen:
        yield _held_line(offset, seen, held, seen, max_line_bytes)


def _whole_lines(
    chunk: bytes, begin: int, end: int, offset: int, max_line_bytes: int
) -> Iterator[LineBlock | _Lines | OversizedLine]:
    """The lines of `chunk` from `begin` to `end`, the first of them at `offset` of the object: together where
    none can be too long."""
    if begin >= end:
        return
    if len(chunk) <= max_line_bytes:
        spans = _plain_lines(chunk, begin, end)
        if spans is not None:
            yield LineBlock(offset, end - begin, spans)
        else:
            yield _Lines(offset, end - begin, chunk[begin : end - 1].split(b"\n"))
        return
    for text in chunk[begin : end - 1].split(b"\n"):
        length = len(text) + 1
        yield _Lines(offset, length, [text]) if len(text) <= max_line_bytes else OversizedLine(offset, length)
        offset += length


def _plain_lines(chunk: bytes, begin: int, end: int) -> ByteSpans | None:
    """The lines of `chunk` from `begin` to `end` if each goes from a curly bracket to a curly bracket: then
    nothing is to be taken off, and none is blank."""
    begins: list[int] = []
    ends: list[int] = []
    find, add_begin, add_end = chunk.find, begins.append, ends.append
    while begin < end:
        newline = find(b"\n", begin)
        if chunk[begin] != _OPENING or chunk[newline - 1] != _CLOSING:
            return None
        add_begin(begin)
        add_end(newline)
        begin = newline + 1
    return ByteSpans(chunk, begins, ends)


def _held_line(
    offset: int, length: int, held: list[bytes], text_length: int, max_line_bytes: int
) -> _Lines | OversizedLine:
    """The line whose parts are held, if it is not too long; nothing is held afterwards."""
    if text_length <= max_line_bytes:
        return _Lines(offset, length, [_joined(held)])
    held.clear()
    return OversizedLine(offset, length)


def _joined(parts: list[bytes]) -> bytes:
    """The parts as one, emptying the list, so that they do not outlive the line."""
    whole = b"".join(parts)
    parts.clear()
    return whole
