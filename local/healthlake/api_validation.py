"""Input checks of the JSON API, taken from the service model that botocore carries."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape

from local.healthlake.errors import ApiError

# Java's character classes in words of Python's re.
_CLASSES = (
    (r"[\P{M}\p{M}]", r"[\s\S]"),
    (r"\p{ASCII}", r"[\x00-\x7f]"),
    (r"\p{L}\p{Z}\p{N}", r"\w\s"),
    (r"\p{L}", r"\w"),
    (r"\p{N}", r"\d"),
    (r"\p{Z}", r"\s"),
)


@cache
def service_model() -> ServiceModel:
    """HealthLake's model as botocore ships it."""
    model = botocore.session.get_session().get_service_model("healthlake")
    assert isinstance(model, ServiceModel)
    return model


def find_operation(name: str) -> OperationModel | None:
    """The operation, or None when the model has none of that name."""
    model = service_model()
    return model.operation_model(name) if name in model.operation_names else None


def check_input(operation: OperationModel, params: dict[str, Any]) -> None:
    """ApiError ValidationException for the first member that breaks the model; values are not repeated."""
    if operation.input_shape is not None:
        _check(operation.input_shape, params, "")


def _check(shape: Shape, value: Any, path: str) -> None:
    match shape.type_name:
        case "structure":
            assert isinstance(shape, StructureShape)
            _check_structure(shape, value, path)
        case "list":
            assert isinstance(shape, ListShape)
            _expect(isinstance(value, list), path, "Member must be a list")
            _check_length(shape, len(value), path)
            for number, item in enumerate(value, 1):
                _check(shape.member, item, f"{path}.{number}.member")
        case "map":
            _expect(isinstance(value, dict), path, "Member must be a map")
        case "string":
            _check_string(shape, value, path)
        case "integer" | "long":
            _expect(isinstance(value, int) and not isinstance(value, bool), path, "Member must be a number")
            _check_range(shape, value, path)
        case "boolean":
            _expect(isinstance(value, bool), path, "Member must be a boolean")
        case "timestamp" | "double" | "float":
            _expect(isinstance(value, int | float), path, "Member must be a number")


def _check_structure(shape: StructureShape, value: Any, path: str) -> None:
    _expect(isinstance(value, dict), path, "Member must be a structure")
    members = shape.members
    for name in shape.required_members:
        _expect(value.get(name) is not None, _join(path, name), "Member must not be null")
    if shape.is_tagged_union:
        _expect(
            sum(1 for name in members if value.get(name) is not None) == 1, path, "One member must be set"
        )
    for name, member in members.items():
        if value.get(name) is not None:
            _check(member, value[name], _join(path, name))


def _check_string(shape: Shape, value: Any, path: str) -> None:
    _expect(isinstance(value, str), path, "Member must be a string")
    _check_length(shape, len(value), path)
    enum = shape.metadata.get("enum")
    if enum:
        _expect(value in enum, path, f"Member must satisfy enum value set: [{', '.join(enum)}]")
    pattern = shape.metadata.get("pattern")
    if pattern:
        _expect(
            _compiled(pattern).fullmatch(value) is not None,
            path,
            f"Member must satisfy regular expression pattern: {pattern}",
        )


def _check_length(shape: Shape, length: int, path: str) -> None:
    smallest, largest = shape.metadata.get("min"), shape.metadata.get("max")
    if smallest is not None:
        _expect(length >= smallest, path, f"Member must have length greater than or equal to {smallest}")
    if largest is not None:
        _expect(length <= largest, path, f"Member must have length less than or equal to {largest}")


def _check_range(shape: Shape, value: int, path: str) -> None:
    smallest, largest = shape.metadata.get("min"), shape.metadata.get("max")
    if smallest is not None:
        _expect(value >= smallest, path, f"Member must have value greater than or equal to {smallest}")
    if largest is not None:
        _expect(value <= largest, path, f"Member must have value less than or equal to {largest}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _CLASSES:
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _join(path: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _expect(holds: bool, path: str, constraint: str) -> None:
    if not holds:
        raise ApiError(
            "ValidationException",
            f"1 validation error detected: Value at '{path}' failed to satisfy constraint: {constraint}",
        )
