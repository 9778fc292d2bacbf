from __future__ import annotations

import pytest

from common.names import camel_case


@pytest.mark.parametrize(
    ("name", "camel"), [("since", "since"), ("run_id", "runId"), ("lines_end_at", "linesEndAt")]
)
def test_words_after_the_first_begin_with_a_capital(name: str, camel: str) -> None:
    assert camel_case(name) == camel
