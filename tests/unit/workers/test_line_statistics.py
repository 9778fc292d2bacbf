"""What is counted of NDJSON, in pieces of any size, with lines of any length."""

from __future__ import annotations

import hashlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthlake_export.fhir_r4 import RESOURCE_TYPES
from hub_worker.fhir_types import FHIR_R4_TYPES
from hub_worker.line_statistics import LineStatistics
from hub_worker.long_lines import TopLevelType


def counted(content: bytes, size: int = 1 << 20, longest_held: int = 1 << 20) -> dict[str, object]:
    statistics = LineStatistics(longest_held)
    for begin in range(0, len(content), size):
        statistics.add(content[begin : begin + size])
    return statistics.result()


@pytest.mark.parametrize(
    ("content", "lines", "blank", "malformed", "types"),
    [
        (b"", 0, 0, 0, {}),
        (b"\n\n", 0, 2, 0, {}),
        (b'{"resourceType":"Patient"}', 1, 0, 0, {"Patient": 1}),
        (b'{"resourceType":"Patient"}\r\n{"resourceType":"Patient"}\r\n', 2, 0, 0, {"Patient": 2}),
        (b'\xef\xbb\xbf{"resourceType":"Patient"}\n', 1, 0, 0, {"Patient": 1}),
        (b'{"resourceType":"Smith"}\n{"id":"1"}\n', 2, 0, 0, {"other": 2}),
        (b"not json\n[1]\n{\n", 3, 0, 3, {}),
        (b'{"contained":[{"resourceType":"Device"}],"resourceType":"Patient"}\n', 1, 0, 0, {"Patient": 1}),
    ],
)
@pytest.mark.parametrize("size", [3, 1 << 20])
def test_lines_are_counted_by_the_type_that_they_name(
    content: bytes, lines: int, blank: int, malformed: int, types: dict[str, int], size: int
) -> None:
    assert counted(content, size) == {
        "bytes": len(content),
        "lines": lines,
        "blankLines": blank,
        "malformedLines": malformed,
        "sha256": hashlib.sha256(content).hexdigest(),
        "resourceTypes": types,
    }


RESOURCES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LINES = st.dictionaries(st.text() | st.just("resourceType"), RESOURCES | st.just("Patient"), max_size=5)


@given(st.lists(LINES, max_size=6), st.integers(1, 50))
def test_pieces_and_long_lines_change_nothing_in_what_is_counted(
    resources: list[dict[str, object]], size: int
) -> None:
    """A line that is held whole is read by a JSON parser, a long one by its brackets alone. They differ where
    the type is not text: the parser calls that malformed."""
    sound = [one for one in resources if isinstance(one.get("resourceType", ""), str)]
    content = b"".join(json.dumps(one).encode() + b"\n" for one in sound)

    assert counted(content, size, longest_held=8) == counted(content)


def test_a_line_as_long_as_the_object_is_not_held() -> None:
    statistics = LineStatistics(longest_held=64 * 1024)
    piece = b"x" * (256 * 1024)
    tracemalloc.start()
    statistics.add(b'{"text":"')
    for _ in range(40):
        statistics.add(piece)
    statistics.add(b'","resourceType":"Binary"}\n')
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert statistics.result()["resourceTypes"] == {"Binary": 1}
    assert peak < 2 * 1024 * 1024


def test_a_line_nested_deeper_than_a_parser_goes_has_its_type(usual_recursion_limit: None) -> None:
    deep = b'{"extension":' + b"[" * 5000 + b"]" * 5000 + b',"resourceType":"Patient"}\n'
    assert counted(deep)["resourceTypes"] == {"Patient": 1}


@pytest.mark.parametrize("text", [b"{", b'{"a":"', b"}", b"]{}", b'{"a":[}'])
def test_brackets_that_do_not_close_are_no_object(text: bytes) -> None:
    found = TopLevelType()
    found.feed(text)
    assert found.found() is None


def test_the_types_are_those_of_the_hub() -> None:
    assert FHIR_R4_TYPES == RESOURCE_TYPES
