"""Cuts what is sent into requests that services take, and writes it as they are given it.

Follows «PutEvents» of the Amazon EventBridge API Reference and «Calculating PutEvents event entry size» of
the Amazon EventBridge User Guide, «PutRecordBatch» of the Amazon Data Firehose API Reference, and «Lambda
quotas» of the AWS Lambda Developer Guide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

_Item = TypeVar("_Item")

_TIME_BYTES = 14
"""What EventBridge counts for the time of an entry."""


def json_bytes(value: Any) -> bytes:
    """Compact JSON in UTF-8. Escapes would make other scripts than Latin two to three times as long as what
    the services had sent. Half a surrogate pair has no UTF-8, and stays the escape that it came as."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def parts(
    items: Sequence[_Item], most: int, most_bytes: int, size: Callable[[_Item], int]
) -> Iterator[list[_Item]]:
    """The items in their order, so many together at most, and so many bytes. A larger one goes alone."""
    part: list[_Item] = []
    used = 0
    for item in items:
        more = size(item)
        if part and (len(part) == most or used + more > most_bytes):
            yield part
            part, used = [], 0
        part.append(item)
        used += more
    if part:
        yield part


def entry_bytes(entry: Mapping[str, Any]) -> int:
    """What EventBridge counts of an entry: the time, and texts in UTF-8. The name of the bus is counted as
    well, to be on the safe side."""
    return _TIME_BYTES + sum(len(str(value).encode()) for value in entry.values())
