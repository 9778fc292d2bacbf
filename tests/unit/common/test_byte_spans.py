"""Parts of one bytes object."""

import pytest

from common.byte_spans import ByteSpans

CONTENT = b"one, two and three"
SPANS = ByteSpans(CONTENT, [0, 5, 13], [3, 8, 18])


def test_parts_are_those_between_their_bounds() -> None:
    assert list(SPANS) == [b"one", b"two", b"three"]
    assert (len(SPANS), SPANS[1], SPANS[-1]) == (3, b"two", b"three")
    assert SPANS.lengths == [3, 3, 5]


def test_some_of_the_parts_lie_in_the_same_bytes() -> None:
    some = SPANS[1:]
    assert list(some) == [b"two", b"three"]
    assert some.content is CONTENT


def test_there_is_nothing_past_the_last_part() -> None:
    with pytest.raises(IndexError):
        SPANS[3]
