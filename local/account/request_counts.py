"""Counts the requests that reach the account, by who signed them: `GET /_local/requests`.

What a run costs on AWS follows from its requests. A caller is known by its access key, which functions, state
machines and people have one each of. Requests inside the account, such as Lambda's polling of queues, pass no
door and are not counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from local.account.secure_transport import Application, Scope

PATH = "/_local/requests"

_CREDENTIAL = re.compile(rb"Credential=([^/,]+)/\d+/[^/]+/([^/]+)/aws4_request")
_OF_BUCKETS = {"GET": "ListObjects"}
_OF_OBJECTS = {
    "GET": "GetObject",
    "PUT": "PutObject",
    "HEAD": "HeadObject",
    "DELETE": "DeleteObject",
    "POST": "PostObject",
}


def counting_requests(application: Application) -> Application:
    """The ASGI application, which also answers how many signed requests have come so far:
    `{access key: {service: {operation: requests}}}`."""
    counts: Counter[tuple[str, str, str]] = Counter()

    async def counting(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            if scope["path"] == PATH:
                await _answer(send, counts)
                return
            known = signed_operation(scope)
            if known is not None:
                counts[known] += 1
        await application(scope, receive, send)

    return counting


def signed_operation(scope: Scope) -> tuple[str, str, str] | None:
    """Access key, service and operation of a request, or None when it is not signed."""
    headers = dict(scope["headers"])
    signature = _CREDENTIAL.search(headers.get(b"authorization", b""))
    if signature is None:
        return None
    service = signature[2].decode()
    target = headers.get(b"x-amz-target", b"").decode().rpartition(".")[2]
    return signature[1].decode(), service, target or _operation(service, scope["method"], scope["path"])


def _operation(service: str, method: str, path: str) -> str:
    """The operation of an API that names it by method and path."""
    if service == "s3":
        of_key = "/" in path.strip("/")
        return _OF_OBJECTS.get(method, method) if of_key else _OF_BUCKETS.get(method, method)
    if service == "lambda" and path.endswith("/invocations"):
        return "Invoke"
    return method


async def _answer(send: Any, counts: Mapping[tuple[str, str, str], int]) -> None:
    told: dict[str, dict[str, dict[str, int]]] = {}
    for (caller, service, operation), number in sorted(counts.items()):
        told.setdefault(caller, {}).setdefault(service, {})[operation] = number
    body = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
