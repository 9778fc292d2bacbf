"""Blanks in place of bytes, however the content is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from local.erasure.matching import Matcher
from local.erasure.ndjson_objects import blanked, has_trace


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8), st.integers(1, 20))
def test_exactly_the_bytes_of_the_spans_become_blanks(content: bytes, cuts: list[int], size: int) -> None:
    bounds = sorted({min(cut, len(content)) for cut in cuts})
    spans = list(zip(bounds[::2], bounds[1::2], strict=False))
    expected = bytearray(content)
    for start, stop in spans:
        expected[start:stop] = b" " * (stop - start)

    chunks = [content[start : start + size] for start in range(0, len(content), size)]

    assert b"".join(blanked(chunks, spans)) == bytes(expected)


@given(st.integers(0, 40), st.integers(1, 9))
def test_a_trace_is_found_however_the_content_is_cut(before: int, size: int) -> None:
    content = b"x" * before + b'"p-1"' + b"y" * 9
    chunks = [content[start : start + size] for start in range(0, len(content), size)]

    assert has_trace(chunks, Matcher("p-1"))
    assert not has_trace(chunks, Matcher("p-2"))
