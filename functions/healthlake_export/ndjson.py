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


class LineBlock(NamedTuple):
    """Consecutive lines from `offset` on, `length` bytes with their newlines: each of them ends in a newline
    alone and is neither blank nor begins with a byte order mark, so that its text is all of it."""

    offset: int
    length: int
    texts: list[bytes]

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
        for offset, texts, length, plain in _split(self._chunks, first, self._max_line_bytes):
            if texts is None:
                self.lines_end_at = offset + length
                self.lines += 1
                yield OversizedLine(offset, length)
            elif plain and self._is_owned(offset, length, texts) and not _has_byte_order_mark(offset, texts):
                self.lines_end_at = offset + length
                self.lines += len(texts)
                yield LineBlock(offset, length, texts)
            else:
                yield from self._one_by_one(offset, texts, length)
            del texts  # the next ones may be as long: never hold both
            if self.lines_end_at >= self._end:
                return

    def _is_owned(self, offset: int, length: int, texts: list[bytes]) -> bool:
        """Whether the last of these lines starts in the range, and with it all of them."""
        return offset + length - 1 - len(texts[-1]) < self._end

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


class _Split(NamedTuple):
    """Consecutive lines at `offset`, `length` bytes with their newlines; None in place of a line that is too
    long to hold. `plain` says that nothing has to be taken off a text, and that none is blank."""

    offset: int
    texts: list[bytes] | None
    length: int
    plain: bool = False


def _split(chunks: Iterable[bytes], offset: int, max_line_bytes: int) -> Iterator[_Split]:
    """The lines in `chunks`, which begin at `offset`, the start of a line: together those that lie within one
    chunk, and alone those that do not."""
    held: list[bytes] = []
    seen = 0
    for chunk in chunks:
        texts = chunk.split(b"\n")
        rest = texts.pop()
        if texts and seen:
            length = seen + len(texts[0]) + 1
            held.append(texts.pop(0))
            yield _Split(offset, _held_line(held, length - 1, max_line_bytes), length)
            offset, seen = offset + length, 0
        together = len(chunk) <= max_line_bytes
        plain = b"\r" not in chunk
        del chunk  # the texts are all of it
        for found in _whole_lines(texts, offset, max_line_bytes, together=together, plain=plain):
            yield found
            offset += found.length
            del found
        del texts
        if rest:
            seen += len(rest)
            if seen <= max_line_bytes:
                held.append(rest)
            else:
                held.clear()
    if seen:
        yield _Split(offset, _held_line(held, seen, max_line_bytes), seen)


def _whole_lines(
    texts: list[bytes], offset: int, max_line_bytes: int, *, together: bool, plain: bool
) -> Iterator[_Split]:
    """The lines `texts` that lie within one chunk, the first of them at `offset` of the object: `together`
    where none can be too long, and `plain` if no carriage return is among them."""
    if not texts:
        return
    if together:
        plain = plain and all(texts) and not any(map(bytes.isspace, texts))
        yield _Split(offset, texts, sum(map(len, texts)) + len(texts), plain)
        return
    for text in texts:
        yield _Split(offset, [text] if len(text) <= max_line_bytes else None, len(text) + 1)
        offset += len(text) + 1


def _held_line(held: list[bytes], length: int, max_line_bytes: int) -> list[bytes] | None:
    """The line of `length` bytes whose parts are held, if it is not too long; nothing is held afterwards."""
    if length <= max_line_bytes:
        return [_joined(held)]
    held.clear()
    return None


def _has_byte_order_mark(offset: int, texts: list[bytes]) -> bool:
    return offset == 0 and texts[0].startswith(_BYTE_ORDER_MARK)


def _joined(parts: list[bytes]) -> bytes:
    """The parts as one, emptying the list, so that they do not outlive the line."""
    whole = b"".join(parts)
    parts.clear()
    return whole
