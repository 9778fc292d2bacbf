"""Metric math over the values of one period.

AWS documentation: Amazon CloudWatch User Guide, «Using metric math». Arithmetic, SUM, MAX, MIN, AVG, FILL and
METRICS() are there; anything else is refused, so that an alarm never rests on a function that is not.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence

Value = float | None
"""None where the period has no data."""

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_OVER_MANY: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SUM": sum,
    "MAX": max,
    "MIN": min,
    "AVG": lambda values: sum(values) / len(values),
}


class UnknownExpression(ValueError):
    """An expression that is not understood here."""

    def __init__(self, expression: str) -> None:
        super().__init__(f"The local account does not know the metric math {expression!r}.")


def evaluate(expression: str, values: Mapping[str, Value]) -> Value:
    """The expression's value in a period whose metrics have these values by id; raises UnknownExpression."""
    try:
        return _scalar(ast.parse(expression.strip(), mode="eval").body, values)
    except ZeroDivisionError:
        return None
    except (SyntaxError, LookupError, TypeError, ValueError):
        raise UnknownExpression(expression) from None


def _scalar(node: ast.expr, values: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _scalar(left, values), _scalar(right, values)
            return None if one is None or other is None else _OPERATORS[type(op)](one, other)
        case ast.Call(func=ast.Name(id="FILL"), args=[inner, fill]):
            found = _scalar(inner, values)
            return _scalar(fill, values) if found is None else found
        case ast.Call(func=ast.Name(id=name), args=[inner]):
            there = [value for value in _many(inner, values) if value is not None]
            return _OVER_MANY[name](there) if there else None
    raise ValueError("not a value")


def _many(node: ast.expr, values: Mapping[str, Value]) -> list[Value]:
    match node:
        case ast.List(elts=elements):
            return [_scalar(element, values) for element in elements]
        case ast.Call(func=ast.Name(id="METRICS"), args=[]):
            return list(values.values())
        case ast.Call(func=ast.Name(id="METRICS"), args=[ast.Constant(value=str() as part)]):
            return [value for name, value in values.items() if part in name]
    return [_scalar(node, values)]
