"""What a permission to write or read events of a log is asked for: the log stream.

AWS documentation: «Actions, resources, and condition keys for Amazon CloudWatch Logs» (Service Authorization
Reference). ministack asks for the log group, which policies for its streams, by an asterisk after it, are not
about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_OF_A_STREAM = ("PutLogEvents", "GetLogEvents", "DeleteLogStream")


def stream_of_events(shipped: Callable[..., str]) -> Callable[..., str]:
    """`extract_resource_arn` of ministack, which knows the stream that events are of."""

    def resource_arn(
        service: str, method: str, path: str, headers: Mapping[str, str], body: bytes, *more: Any
    ) -> str:
        group = shipped(service, method, path, headers, body, *more)
        if service != "logs" or headers.get("x-amz-target", "").rpartition(".")[2] not in _OF_A_STREAM:
            return group
        stream = _stream(body)
        return group if stream is None else f"{group}:log-stream:{stream}"

    return resource_arn


def _stream(body: bytes) -> str | None:
    try:
        name = json.loads(body or b"{}").get("logStreamName")
    except (ValueError, AttributeError):
        return None
    return name if isinstance(name, str) else None
