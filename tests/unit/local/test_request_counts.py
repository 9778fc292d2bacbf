"""The account counts requests by who signed them, what service they were for and what they asked."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from local.account.request_counts import PATH, counting_requests

SIGNATURE = "AWS4-HMAC-SHA256 Credential={key}/20261120/us-east-1/{service}/aws4_request, SignedHeaders=host"


def a_request(
    method: str, path: str, service: str = "", target: str = "", key: str = "AK1"
) -> dict[str, Any]:
    headers = []
    if service:
        headers.append((b"authorization", SIGNATURE.format(key=key, service=service).encode()))
    if target:
        headers.append((b"x-amz-target", target.encode()))
    return {"type": "http", "method": method, "path": path, "headers": headers}


def counts_after(*requests: Mapping[str, Any]) -> Any:
    """What the account says of the requests, all of which reach the application behind."""
    reached = []
    sent: list[dict[str, Any]] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(scope)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def ask() -> None:
        counting = counting_requests(application)
        for request in requests:
            await counting(dict(request), None, send)  # type: ignore[arg-type]
        await counting(a_request("GET", PATH), None, send)  # type: ignore[arg-type]

    asyncio.run(ask())
    assert len(reached) == len(requests)
    return json.loads(sent[-1]["body"])


def test_requests_are_counted_by_caller_service_and_operation() -> None:
    get_item = a_request("POST", "/", "dynamodb", "DynamoDB_20120810.GetItem")
    put_events = a_request("POST", "/", "events", "AWSEvents.PutEvents", key="AK2")

    assert counts_after(get_item, get_item, put_events) == {
        "AK1": {"dynamodb": {"GetItem": 2}},
        "AK2": {"events": {"PutEvents": 1}},
    }


@pytest.mark.parametrize(
    ("method", "path", "service", "operation"),
    [
        ("GET", "/bucket", "s3", "ListObjects"),
        ("GET", "/bucket/exports/a.ndjson", "s3", "GetObject"),
        ("PUT", "/bucket/runs/ranges.json", "s3", "PutObject"),
        ("POST", "/2015-03-31/functions/process/invocations", "lambda", "Invoke"),
        ("POST", "/datastore/1/r4/$export", "healthlake", "POST"),
    ],
)
def test_an_operation_without_a_target_is_told_by_method_and_path(
    method: str, path: str, service: str, operation: str
) -> None:
    assert counts_after(a_request(method, path, service)) == {"AK1": {service: {operation: 1}}}


def test_a_request_without_a_signature_is_not_counted() -> None:
    assert counts_after(a_request("GET", "/_local/account")) == {}
