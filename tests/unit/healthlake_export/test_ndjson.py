from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healthlake_export.byte_ranges import ExportedObject, cut_into_ranges
from healthlake_export.ndjson import Line, OversizedLine, RangeLines, reading_starts_at


def chunks_of(content: bytes, start: int, sizes: Sequence[int]) -> Iterator[bytes]:
    """`content` from `start` on, cut into chunks whose sizes repeat."""
    position, turn = start, 0
    while position < len(content):
        size = sizes[turn % len(sizes)]
        yield content[position : position + size]
        position, turn = position + size, turn + 1


def lines_of(
    content: bytes,
    start: int = 0,
    end: int | None = None,
    *,
    chunk_sizes: Sequence[int] = (7,),
    max_line_bytes: int = 1000,
) -> RangeLines:
    end = len(content) if end is None else end
    chunks = chunks_of(content, reading_starts_at(start), chunk_sizes)
    return RangeLines(chunks, start=start, end=end, max_line_bytes=max_line_bytes)


def texts(lines: RangeLines) -> list[bytes]:
    return [line.text for line in lines if isinstance(line, Line)]


def test_a_line_has_its_offset_its_length_and_its_text() -> None:
    assert list(lines_of(b'{"a":1}\n{"b":2}\n')) == [
        Line(0, 8, b'{"a":1}', 0),
        Line(8, 8, b'{"b":2}', 8),
    ]


def test_the_last_line_needs_no_newline() -> None:
    assert list(lines_of(b"a\nbc")) == [Line(0, 2, b"a", 0), Line(2, 2, b"bc", 2)]


def test_a_carriage_return_before_the_newline_belongs_to_the_terminator() -> None:
    assert list(lines_of(b"a\r\nb\r\n")) == [Line(0, 3, b"a", 0), Line(3, 3, b"b", 3)]


def test_blank_lines_are_counted_apart_with_their_bytes() -> None:
    lines = lines_of(b"\na\n \t\r\n\nb")
    assert texts(lines) == [b"a", b"b"]
    assert (lines.lines, lines.blank_lines, lines.blank_bytes) == (2, 3, 6)


def test_an_empty_object_has_no_lines() -> None:
    lines = lines_of(b"")
    assert list(lines) == []
    assert (lines.lines, lines.blank_lines, lines.lines_end_at) == (0, 0, None)


def test_a_byte_order_mark_is_left_out_of_the_text_and_counted_with_the_line() -> None:
    assert list(lines_of(b"\xef\xbb\xbf{}\n{}\n")) == [Line(0, 6, b"{}", 3), Line(6, 3, b"{}", 6)]


def test_a_byte_order_mark_later_on_stays_where_it_is() -> None:
    assert texts(lines_of(b"{}\n\xef\xbb\xbf{}\n")) == [b"{}", b"\xef\xbb\xbf{}"]


def test_a_range_leaves_out_the_line_that_began_before_it() -> None:
    assert texts(lines_of(b"abc\ndef\nghi\n", 5, 12)) == [b"ghi"]


def test_a_range_that_begins_where_a_line_does_owns_that_line() -> None:
    assert texts(lines_of(b"abc\ndef\nghi\n", 4, 8)) == [b"def"]


def test_a_range_owns_the_rest_of_its_last_line() -> None:
    assert texts(lines_of(b"abc\ndef\nghi\n", 0, 5)) == [b"abc", b"def"]


def test_a_range_in_the_middle_of_a_line_owns_nothing() -> None:
    lines = lines_of(b"abcdefghij\nklm\n", 3, 8)
    assert list(lines) == []
    assert lines.first_line_at is None
    assert lines.lines_end_at is None


def test_a_range_whose_last_byte_is_the_newline_before_the_next_owns_nothing() -> None:
    lines = lines_of(b"abcdef\nklm\n", 3, 7)
    assert list(lines) == []
    assert lines.first_line_at is None


def test_no_more_chunks_are_taken_than_the_last_line_needs() -> None:
    taken: list[bytes] = []

    def watched() -> Iterator[bytes]:
        for chunk in (b"abc\n", b"def\n", b"ghi\n"):
            taken.append(chunk)
            yield chunk

    assert texts(RangeLines(watched(), start=0, end=4)) == [b"abc"]
    assert taken == [b"abc\n"]


def test_looking_for_a_first_line_ends_with_the_range() -> None:
    taken: list[bytes] = []

    def watched() -> Iterator[bytes]:
        for _ in range(100):
            taken.append(b"xxxx")
            yield b"xxxx"

    assert list(RangeLines(watched(), start=1, end=9)) == []
    assert len(taken) == 2


def test_a_line_longer_than_the_limit_is_only_located() -> None:
    content = b"a\n" + b"x" * 50 + b"\nb\n"
    assert list(lines_of(content, max_line_bytes=49)) == [
        Line(0, 2, b"a", 0),
        OversizedLine(2, 51),
        Line(53, 2, b"b", 53),
    ]


def test_nothing_of_a_line_past_the_limit_gets_into_the_next() -> None:
    content = b"x" * 50 + b"\n" + b"y" * 30 + b"\n"
    lines = lines_of(content, chunk_sizes=[40, 20, 30], max_line_bytes=45)
    assert list(lines) == [OversizedLine(0, 51), Line(51, 31, b"y" * 30, 51)]


@pytest.mark.parametrize("ending", [b"", b"\n"])
@pytest.mark.parametrize("chunk_size", [1, 7, 50, 1000])
def test_the_limit_is_the_length_without_the_newline(ending: bytes, chunk_size: int) -> None:
    content = b"x" * 50 + ending
    assert list(lines_of(content, chunk_sizes=[chunk_size], max_line_bytes=50)) == [
        Line(0, len(content), b"x" * 50, 0)
    ]
    assert list(lines_of(content, chunk_sizes=[chunk_size], max_line_bytes=49)) == [
        OversizedLine(0, len(content))
    ]


def test_a_line_of_five_megabytes_is_a_line_like_any_other() -> None:
    content = b"a\n" + b"x" * 5_000_000 + b"\nb\n"
    lines = lines_of(content, chunk_sizes=[1_000_000], max_line_bytes=32_000_000)
    assert [len(text) for text in texts(lines)] == [1, 5_000_000, 1]


LINE_TEXTS = st.one_of(
    st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"")),
    st.sampled_from([b"", b" ", b"\t ", b"{}", b"\r", b"\xef\xbb\xbf", b"\xef\xbb\xbf{}", b"x" * 40]),
)
CONTENTS = st.builds(
    lambda lines, terminators, last: (
        b"".join(line + terminator for line, terminator in zip(lines, terminators, strict=False)) + last
    ),
    st.lists(LINE_TEXTS, max_size=12),
    st.lists(st.sampled_from([b"\n", b"\r\n"]), min_size=12, max_size=12),
    LINE_TEXTS,
)
MAX_LINE = 24


@given(CONTENTS, st.integers(1, 60), st.lists(st.integers(1, 30), min_size=1, max_size=4))
@example(b"a\nb\nc\n", 2, [1])
@example(b"\n\n\n", 1, [1])
@example(b"x" * 100 + b"\n" + b"y" * 100, 7, [3])
def test_byte_ranges_of_any_size_tile_a_file_and_yield_each_line_exactly_once(
    content: bytes, range_size: int, chunk_sizes: list[int]
) -> None:
    expected = list(lines_of(content, chunk_sizes=[1000], max_line_bytes=MAX_LINE))
    found: list[Line | OversizedLine] = []
    covered = counted = 0
    for piece in cut_into_ranges([ExportedObject("Patient/a", len(content), '"e"')], range_size):
        lines = lines_of(content, piece.start, piece.end, chunk_sizes=chunk_sizes, max_line_bytes=MAX_LINE)
        mine = list(lines)
        assert all(piece.start <= line.offset < piece.end for line in mine)
        assert lines.lines == len(mine)
        found += mine
        counted += sum(line.length for line in mine) + lines.blank_bytes
        if lines.first_line_at is not None:
            assert lines.first_line_at == covered
            covered = lines.lines_end_at or 0
    assert found == expected
    assert covered == counted == len(content)


@given(CONTENTS)
def test_lines_are_those_that_splitting_the_whole_gives(content: bytes) -> None:
    whole = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    stripped = [text.removesuffix(b"\r") for text in whole]
    if whole[-1].endswith(b"\r"):
        stripped[-1] = whole[-1].removesuffix(b"\r")
    expected = [text for text in stripped if text.strip()]
    assert texts(lines_of(content)) == expected


@given(CONTENTS)
def test_a_text_stands_at_its_offset_in_the_object(content: bytes) -> None:
    for line in lines_of(content):
        assert isinstance(line, Line)
        assert content[line.text_offset : line.text_offset + len(line.text)] == line.text
