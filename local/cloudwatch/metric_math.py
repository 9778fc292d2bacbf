"""Metric math over the values of one period.

AWS documentation: Amazon CloudWatch User Guide, «Using metric math». Arithmetic, comparisons, AND, OR, SUM,
MAX, MIN, AVG, CEIL, FLOOR, ABS, FILL, IF and METRICS() are there; anything else is refused, so that an alarm
never rests on a function that is not.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence

Value = float | None
"""None where the period has no data."""

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_WORDS = re.compile(r"\b(AND|OR)\b")
_OF_ONE: Mapping[str, Callable[[float], float]] = {"CEIL": math.ceil, "FLOOR": math.floor, "ABS": abs}
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
        python = _WORDS.sub(lambda word: word[0].lower(), expression.strip())
        return _scalar(ast.parse(python, mode="eval").body, values)
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
        case ast.Compare(left=left, ops=[test], comparators=[right]):
            one, other = _scalar(left, values), _scalar(right, values)
            if one is None or other is None:
                return None
            return float(_COMPARISONS[type(test)](one, other))
        case ast.BoolOp(op=op, values=parts):
            return _truth(op, [_scalar(part, values) for part in parts])
        case ast.Call(func=ast.Name(id=name), args=[_, _, *_] as arguments):
            return _of_several(name, arguments, values)
        case ast.Call(func=ast.Name(id="CEIL" | "FLOOR" | "ABS" as name), args=[inner]):
            found = _scalar(inner, values)
            return None if found is None else float(_OF_ONE[name](found))
        case ast.Call(func=ast.Name(id=name), args=[inner]):
            there = [value for value in _many(inner, values) if value is not None]
            return _OVER_MANY[name](there) if there else None
    raise ValueError("not a value")


def _of_several(name: str, arguments: Sequence[ast.expr], values: Mapping[str, Value]) -> Value:
    match name, arguments:
        case "FILL", [inner, fill]:
            found = _scalar(inner, values)
            return _scalar(fill, values) if found is None else found
        case "IF", [condition, then, otherwise]:
            holds = _scalar(condition, values)
            return None if holds is None else _scalar(then if holds else otherwise, values)
    raise ValueError("not a function")


def _truth(op: ast.boolop, parts: Sequence[Value]) -> Value:
    """1 or 0; no data where a part has none."""
    there = [part for part in parts if part is not None]
    if len(there) < len(parts):
        return None
    return float((all if isinstance(op, ast.And) else any)(there))


def _many(node: ast.expr, values: Mapping[str, Value]) -> list[Value]:
    match node:
        case ast.List(elts=elements):
            return [_scalar(element, values) for element in elements]
        case ast.Call(func=ast.Name(id="METRICS"), args=[]):
            return list(values.values())
        case ast.Call(func=ast.Name(id="METRICS"), args=[ast.Constant(value=str() as part)]):
            return [value for name, value in values.items() if part in name]
    return [_scalar(node, values)]
