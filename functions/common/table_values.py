"""Between Python values and DynamoDB's attribute values: texts, whole numbers and truth are
all that the hub stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef


def attribute(value: str | int | bool) -> AttributeValueTypeDef:
    """`value` as DynamoDB takes it."""
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def attributes(facts: Mapping[str, Any]) -> dict[str, AttributeValueTypeDef]:
    """Every fact that is not None as an attribute."""
    return {name: attribute(value) for name, value in facts.items() if value is not None}


def text(item: Mapping[str, AttributeValueTypeDef], name: str) -> str | None:
    """The text attribute `name`, or None."""
    return item.get(name, {}).get("S")


def number(item: Mapping[str, AttributeValueTypeDef], name: str) -> int | None:
    """The number attribute `name`, or None."""
    value = item.get(name, {}).get("N")
    return None if value is None else int(value)


def plain(item: Mapping[str, AttributeValueTypeDef]) -> dict[str, Any]:
    """An item as plain values."""
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: AttributeValueTypeDef) -> Any:
    if "BOOL" in value:
        return value["BOOL"]
    return int(value["N"]) if "N" in value else value.get("S")
