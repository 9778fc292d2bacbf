"""Variables in policies, such as `${aws:PrincipalTag/identity}` in a resource or in a condition's value.

AWS documentation: IAM User Guide, «IAM policy elements: Variables and tags». A variable without a value for
the request, and without a default, makes its resource or value match nothing. What stands in a value is no
wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

Lookup = Callable[[str], Any]
"""The value of a condition key for a request; None where it has none, a list where it has several."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_WITH_DEFAULT = re.compile(r"([^,]+?)\s*,\s*'([^']*)'\s*")
_DOLLAR = "$"


def resolved(pattern: str, lookup: Lookup) -> str | None:
    """The pattern with the values of its variables; None where one has none, or one that cannot be written
    as it is in a pattern."""
    if "${" not in pattern:
        return pattern
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        name = found[1]
        if name == _DOLLAR:
            return _DOLLAR
        with_default = _WITH_DEFAULT.fullmatch(name)
        key, default = (with_default[1], with_default[2]) if with_default else (name.strip(), None)
        given = lookup(key)
        one = given if isinstance(given, str) else default
        missing = missing or one is None or bool(re.search(r"[*?]", one))
        return one or ""

    text = _VARIABLE.sub(value, pattern)
    return None if missing else text


def resolved_statement(statement: Any, lookup: Lookup) -> Any | None:
    """A statement of ministack's with the values of its variables; None where it can match nothing."""
    if not _has_variables(statement):
        return statement
    resources = _those_with_values(statement.resources, lookup)
    not_resources = _those_with_values(statement.not_resources, lookup)
    if len(resources) < len(statement.resources) and not resources:
        return None
    if len(not_resources) < len(statement.not_resources):
        return None
    conditions: dict[str, Any] = {}
    for operator, keys in statement.conditions.items():
        conditions[operator] = {key: _values(given, lookup) for key, given in keys.items()}
        if None in conditions[operator].values():
            return None
    return replace(statement, resources=resources, not_resources=not_resources, conditions=conditions)


def _has_variables(statement: Any) -> bool:
    return "${" in repr((statement.resources, statement.not_resources, statement.conditions))


def _those_with_values(patterns: list[str], lookup: Lookup) -> list[str]:
    return [text for pattern in patterns if (text := resolved(pattern, lookup)) is not None]


def _values(given: Any, lookup: Lookup) -> Any:
    """The values of a condition; None where none of them has its variables' values."""
    if isinstance(given, list):
        return _those_with_values([str(one) for one in given], lookup) or None
    return resolved(given, lookup) if isinstance(given, str) else given


def in_statements(
    first_match: Callable[[Any, list[Any], str], Any], lookup: Callable[[str, Any], Any]
) -> Callable[[Any, list[Any], str], Any]:
    """ministack's search for the first statement that matches a request, with variables. `lookup` gives the
    value of a condition key for a request."""

    def matching(context: Any, statements: list[Any], effect: str) -> Any:
        found = (resolved_statement(one, lambda key: lookup(key, context)) for one in statements)
        return first_match(context, [one for one in found if one is not None], effect)

    return matching
