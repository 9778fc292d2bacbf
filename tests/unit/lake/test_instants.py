from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lake.instants import latest, milliseconds

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00.000Z",
        "2026-11-20T14:00:00+02:00",
        "2026-11-20T12:00:00.000999Z",
    ],
)
def test_an_instant_is_a_time_in_utc_cut_to_the_millisecond(text: str) -> None:
    assert milliseconds([text]).to_pylist() == [NOON]


def test_what_is_no_instant_is_null_and_leaves_the_others_alone() -> None:
    texts = ["2026-11-20T12:00:00Z", None, "", "yesterday", "2026-11-20", "2026-11-20T12:00:00"]
    assert milliseconds(texts).to_pylist() == [NOON, *[None] * 5]


@pytest.mark.parametrize(
    "text", ["0000-06-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"]
)
def test_an_instant_that_python_cannot_hold_is_null_so_that_readers_in_python_do_not_fail(text: str) -> None:
    assert milliseconds(["2026-11-20T12:00:00Z", text]).to_pylist() == [NOON, None]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_the_first_and_the_last_instant_are_kept(text: str) -> None:
    assert milliseconds([text]).to_pylist() == [datetime.fromisoformat(text)]


def test_the_latest_is_known_where_every_instant_is() -> None:
    assert latest(milliseconds(["2026-11-20T12:00:00Z", "2026-11-20T12:00:00.0009Z"])) == NOON
    assert latest(milliseconds(["1600-01-01T00:00:00Z", "2026-11-20T12:00:00Z"])) == NOON
    assert latest(milliseconds(["2026-11-20T12:00:00Z", "2027-01-01T00:00:00Z"]).slice(0, 1)) == NOON
    assert latest(milliseconds(["2026-11-20T12:00:00Z", None])) is None
    assert latest(milliseconds(["2026-11-20T12:00:00Z", "soon"])) is None
    assert latest(milliseconds([])) is None
