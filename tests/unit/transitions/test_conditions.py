"""Conditions on two images: what holds, and what DynamoDB takes for equal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transitions.conditions import All, Becomes, Changed, Condition, Crosses, Is
from transitions.errors import UnreadableRecord

TEN = Crosses("items", Decimal(10))
DONE: dict[str, Any] = {"phase": {"S": "TESTS_COMPLETE"}}
OPEN: dict[str, Any] = {"phase": {"S": "OPEN"}}
COMPLETE = Becomes("phase", {"S": "TESTS_COMPLETE"})


def items(count: int) -> dict[str, Any]:
    return {"items": {"L": [{"S": str(number)} for number in range(count)]}}


def number(text: str) -> dict[str, Any]:
    return {"items": {"N": text}}


@pytest.mark.parametrize(
    ("condition", "old", "new", "holds"),
    [
        (COMPLETE, OPEN, DONE, True),
        (COMPLETE, {}, DONE, True),
        (COMPLETE, DONE, DONE, False),
        (COMPLETE, DONE, OPEN, False),
        (COMPLETE, OPEN, {}, False),
        (Becomes("n", {"N": "1.5"}), {"n": {"N": "1.50"}}, {"n": {"N": "1.5"}}, False),
        (Becomes("n", {"N": "100"}), {"n": {"N": "99"}}, {"n": {"N": "1E2"}}, True),
        (Becomes("n", {"N": "1"}), {}, {"n": {"S": "1"}}, False),
        (Becomes("gone", {"NULL": True}), {}, {"gone": {"NULL": True}}, True),
        (TEN, items(9), items(10), True),
        (TEN, items(8), items(12), True),
        (TEN, items(10), items(11), False),
        (TEN, items(10), items(9), False),
        (TEN, {}, items(10), True),
        (TEN, items(9), {}, False),
        (TEN, number("9"), number("10"), True),
        (TEN, number("9.99999999999999999999999999999999999"), number("10.0"), True),
        (TEN, number("10.00000000000000000000000000000000001"), number("11"), False),
        (TEN, number("1E1"), number("20"), False),
        (TEN, {"items": {"S": "ten"}}, number("10"), True),
        (TEN, number("9"), {"items": {"S": "10"}}, False),
        (Crosses("tags", Decimal(2)), {"tags": {"SS": ["a"]}}, {"tags": {"SS": ["a", "b"]}}, True),
        (Crosses("level", Decimal("-1.5")), {"level": {"N": "-2"}}, {"level": {"N": "-1.5"}}, True),
        (Changed(("a", "b")), {"a": {"N": "1"}}, {"a": {"N": "1.0"}}, False),
        (Changed(("a", "b")), {"a": {"N": "1"}}, {"a": {"N": "1"}, "b": {"S": ""}}, True),
        (Changed(("a",)), {"a": {"S": "x"}}, {}, True),
        (Changed(("a",)), {"a": {"SS": ["x", "y"]}}, {"a": {"SS": ["y", "x"]}}, False),
        (Changed(("a",)), {"a": {"L": [{"N": "1"}]}}, {"a": {"L": [{"N": "1.0"}]}}, False),
        (Changed(("a",)), {"a": {"N": "1"}}, {"a": {"S": "1"}}, True),
        (Changed(("a",)), {"b": {"S": "x"}}, {"b": {"S": "y"}}, False),
        (Is("phase", {"S": "OPEN"}), OPEN, OPEN, True),
        (Is("phase", {"S": "OPEN"}, "old"), OPEN, DONE, True),
        (All((Is("phase", {"S": "OPEN"}), Changed(("n",)))), OPEN, {**OPEN, "n": {"N": "1"}}, True),
        (All((Is("phase", {"S": "OPEN"}), Changed(("n",)))), OPEN, OPEN, False),
    ],
)
def test_a_condition_holds_or_does_not(
    condition: Condition, old: dict[str, Any], new: dict[str, Any], holds: bool
) -> None:
    assert condition.holds(old, new) is holds


@given(st.integers(-20, 20), st.integers(-20, 20), st.integers(-20, 20))
def test_a_threshold_is_crossed_upward_only_and_by_any_step(before: int, now: int, threshold: int) -> None:
    crossed = Crosses("n", Decimal(threshold)).holds({"n": {"N": str(before)}}, {"n": {"N": str(now)}})
    assert crossed is (before < threshold <= now)


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        (TEN, {"N": "ten"}),
        (TEN, {"N": None}),
        (TEN, {"L": 10}),
        (Changed(("items",)), {"N": "ten"}),
        (Changed(("items",)), "ten"),
        (Becomes("items", {"N": "10"}), {"N": []}),
    ],
)
def test_a_value_that_is_none_of_dynamodbs_is_refused(condition: Condition, value: Any) -> None:
    with pytest.raises(UnreadableRecord):
        condition.holds({"items": {"N": "1"}}, {"items": value})


def test_an_attribute_that_no_condition_names_is_not_looked_at() -> None:
    assert COMPLETE.holds({"other": {"N": "nonsense"}}, {**DONE, "other": {"N": "nothing"}})
