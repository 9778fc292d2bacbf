"""The machinery of the soak: permissions that are taken away, functions that die, draws that repeat."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from local.soak.faults.mortal import Invocation, Killed, Mortality
from local.soak.faults.weather import Settings, Weather
from local.soak.permissions.grants import Grant, reduced

STATEMENTS = [
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["a", "b"]},
    {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "c"},
]


def grant(statement: int, place: int, action: str) -> Grant:
    return Grant("Role", 0, statement, place, action, "resource")


def allowed(statements: list[Any]) -> set[tuple[str, str]]:
    def many(value: Any) -> list[str]:
        return value if isinstance(value, list) else [value]

    return {
        (action, resource)
        for one in statements
        for action in many(one["Action"])
        for resource in many(one["Resource"])
    }


@pytest.mark.parametrize(
    ("taken", "gone"),
    [
        (grant(0, 0, "s3:PutObject"), ("s3:PutObject", "a")),
        (grant(0, 1, "s3:GetObject"), ("s3:GetObject", "b")),
        (grant(1, 0, "s3:PutObject"), ("s3:PutObject", "c")),
    ],
)
def test_one_action_on_one_resource_is_taken_away_and_nothing_else(
    taken: Grant, gone: tuple[str, str]
) -> None:
    assert allowed(STATEMENTS) - allowed(reduced(STATEMENTS, taken)) == {gone}


def test_a_policy_that_granted_nothing_else_has_no_statement_left() -> None:
    assert reduced(STATEMENTS[1], grant(0, 0, "s3:PutObject")) == []


@pytest.mark.parametrize(("after", "made"), [(False, ["first"]), (True, ["first", "second"])])
def test_a_function_dies_before_its_call_takes_effect_or_after(after: bool, made: list[str]) -> None:
    invocation, effects = Invocation(dies_at=1, after=after), list[str]()
    invocation.call(lambda: effects.append("first"))
    with pytest.raises(Killed):
        invocation.call(lambda: effects.append("second"))
    with pytest.raises(Killed):
        invocation.call(lambda: effects.append("of a dead function"))
    assert effects == made


def outcomes(mortality: Mortality) -> list[str]:
    """What ten invocations of a function that makes calls come to."""

    def handler(_event: Any, _context: Any) -> str:
        from local.soak.faults.mortal import _through

        for _ in range(5):
            _through(lambda: None)
        return "answered"

    mortal: Callable[..., Any] = mortality.mortal("f", handler)
    results = []
    for _ in range(10):
        try:
            results.append(mortal({}, None))
        except Exception as error:
            results.append(type(error).__name__)
    return results


def test_the_same_seed_kills_the_same_invocations() -> None:
    first, again = (outcomes(Mortality("seed", 0.7)) for _ in range(2))
    assert first == again
    assert {"answered"} < set(first) <= {"answered", "Runtime.ExitError", "Sandbox.Timedout"}


def test_without_a_chance_of_death_nobody_dies() -> None:
    assert outcomes(Mortality("seed", 0.0)) == ["answered"] * 10


def test_the_same_seed_draws_the_same_weather() -> None:
    first, again = ([Weather.draw(Random(7)) for _ in range(3)] for _ in range(2))
    assert first == again
    assert Settings.draw(Random(7)) == Settings.draw(Random(7))
