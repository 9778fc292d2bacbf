"""Makes the writes of a plan, as an application would: items put, attributes set, items deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from local.demo.streams.items import Image
from local.demo.streams.plan import DELETE, PUT, UPDATE, Write

KEYS = ("id", "sk")


def request(write: Write, table: str) -> tuple[str, dict[str, Any]]:
    """The client's method for the write, and its arguments."""
    if write.operation == DELETE:
        return "delete_item", {"TableName": table, "Key": write.key.image}
    assert write.after is not None
    if write.operation == PUT:
        return "put_item", {"TableName": table, "Item": dict(write.after)}
    assert write.operation == UPDATE
    return "update_item", {"TableName": table, "Key": write.key.image, **_setting(write.after)}


def make(
    writes: Iterable[Write], dynamodb: Any, table: str, told: Callable[[int], None] = lambda _made: None
) -> None:
    """Make them one after the other."""
    for number, write in enumerate(writes, start=1):
        method, arguments = request(write, table)
        getattr(dynamodb, method)(**arguments)
        told(number)


def _setting(after: Image) -> dict[str, Any]:
    attributes = {name: value for name, value in after.items() if name not in KEYS}
    numbered = list(enumerate(attributes.items()))
    return {
        "UpdateExpression": "SET " + ", ".join(f"#n{number} = :v{number}" for number, _ in numbered),
        "ExpressionAttributeNames": {f"#n{number}": name for number, (name, _) in numbered},
        "ExpressionAttributeValues": {f":v{number}": value for number, (_, value) in numbered},
    }
