"""Between Python values and DynamoDB's attribute values: texts and whole numbers are all the hub stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef


def attribute(value: str | int) -> AttributeValueTypeDef:
    """`value` as DynamoDB takes it."""
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


def plain(item: Mapping[str, AttributeValueTypeDef]) -> dict[str, str | int | None]:
    """An item as plain values."""
    return {name: number(item, name) if "N" in value else text(item, name) for name, value in item.items()}
