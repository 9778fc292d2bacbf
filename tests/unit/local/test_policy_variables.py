"""Variables in policies have the values of the request, or match nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from local.iam.policy_variables import in_statements, resolved

KEYS: dict[str, Any] = {
    "aws:PrincipalTag/identity": "lab-7",
    "aws:username": "maria",
    "aws:PrincipalTag/wild": "a*",
    "aws:TagKeys": ["a", "b"],
}
OWN = "uploads/${aws:PrincipalTag/identity}/*"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("uploads/*", "uploads/*"),
        (OWN, "uploads/lab-7/*"),
        ("${aws:username}-${aws:PrincipalTag/identity}", "maria-lab-7"),
        ("${aws:PrincipalTag/team, 'nobody'}", "nobody"),
        ("${aws:username, 'nobody'}", "maria"),
        ("${$}5", "$5"),
        ("${aws:PrincipalTag/team}/*", None),
        ("${aws:PrincipalTag/wild}/*", None),
        ("${aws:TagKeys}", None),
        ("${*}", None),
    ],
)
def test_a_variable_becomes_its_value(pattern: str, text: str | None) -> None:
    assert resolved(pattern, KEYS.get) == text


@dataclass
class Statement:
    resources: list[str] = field(default_factory=list)
    not_resources: list[str] = field(default_factory=list)
    conditions: dict[str, Any] = field(default_factory=dict)


def considered(*statements: Statement) -> list[Statement]:
    """The statements that are held against a request, as they are then."""
    matching = in_statements(lambda _context, found, _effect: found, lambda key, _context: KEYS.get(key))
    found: list[Statement] = matching(None, list(statements), "Allow")
    return found


def test_resources_and_conditions_have_their_values() -> None:
    one = Statement(resources=[OWN], conditions={"StringEquals": {"s3:prefix": ["${aws:username}", "x"]}})
    (found,) = considered(one)
    assert found.resources == ["uploads/lab-7/*"]
    assert found.conditions == {"StringEquals": {"s3:prefix": ["maria", "x"]}}
    assert one.resources == [OWN]


def test_a_statement_whose_variable_has_no_value_matches_nothing() -> None:
    assert considered(Statement(resources=["${aws:PrincipalTag/team}/*"])) == []
    assert considered(Statement(not_resources=["${aws:PrincipalTag/team}/*"])) == []
    condition = {"StringLike": {"s3:prefix": "${aws:PrincipalTag/team}"}}
    assert considered(Statement(resources=["*"], conditions=condition)) == []


def test_of_several_resources_those_with_values_count() -> None:
    (found,) = considered(Statement(resources=["${aws:PrincipalTag/team}/*", OWN]))
    assert found.resources == ["uploads/lab-7/*"]


def test_a_statement_without_variables_is_left_as_it_is() -> None:
    one = Statement(resources=["*"], conditions={"Bool": {"aws:SecureTransport": "true"}})
    assert considered(one)[0] is one
