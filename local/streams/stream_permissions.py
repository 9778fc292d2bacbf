"""What a permission to read a stream is asked for: the stream.

AWS documentation: «Actions, resources, and condition keys for Amazon DynamoDB» (Service Authorization
Reference). ministack looks for a table, which these requests do not name.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from typing import Any

_STREAMS = "DynamoDBStreams_"


def stream_that_is_read(shipped: Callable[..., str]) -> Callable[..., str]:
    """`extract_resource_arn` of ministack, which knows the stream of an iterator."""

    def resource_arn(
        service: str, method: str, path: str, headers: Mapping[str, str], body: bytes, *more: Any
    ) -> str:
        if headers.get("x-amz-target", "").startswith(_STREAMS):
            asked = _document(body)
            arn = asked.get("StreamArn") or _document(_opened(asked.get("ShardIterator"))).get("arn")
            if isinstance(arn, str):
                return arn
        return shipped(service, method, path, headers, body, *more)

    return resource_arn


def _opened(iterator: Any) -> bytes:
    try:
        return urlsafe_b64decode(iterator)
    except (TypeError, ValueError):
        return b""


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
