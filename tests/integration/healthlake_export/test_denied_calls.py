"""A function of the wait that lacks a permission ends the wait at once, with the action named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from healthlake_export import check_export, start_export

ARN = "arn:aws:states:us-east-1:123456789012:execution:export:run-of-noon"
Denied = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Denied]:
    """Has calls of these operations refused for lack of a permission; returns what was called back."""
    told: Denied = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def deny(*operations: str) -> Denied:
        def answer(client: Any, operation: str, parameters: Any) -> Any:
            if operation in operations:
                message = f"User: x is not authorized to perform: {operation}:Action on resource: y"
                message = message.replace(f"{operation}:Action", f"service:{operation}")
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, operation)
            if operation.startswith("SendTask"):
                told.append((operation, parameters))
                return {}
            return call(client, operation, parameters)

        monkeypatch.setattr(BaseClient, "_make_api_call", answer)
        return told

    return deny


@pytest.fixture
def exporting(exporting_run: Any) -> None:
    """A run whose job is being watched."""
    exporting_run(ARN)


def check() -> dict[str, Any]:
    link = {"executionArn": ARN, "attempt": "attempt", "sequence": 0, "delay": 15}
    record = {"messageId": "m", "body": json.dumps({"check": link}), "eventSource": "aws:sqs"}
    return {"Records": [record]}


def test_a_start_that_may_not_read_the_table_fails_the_wait_and_names_the_action(
    hub: Any, deny: Callable[..., Denied], sample_event: Any, lambda_context: Any
) -> None:
    told = deny("GetItem")

    answer = start_export.lambda_handler(
        sample_event("healthlake_export/run_waits_for_export"), lambda_context
    )

    ((operation, failure),) = told
    assert (operation, failure["error"]) == ("SendTaskFailure", "AwsCallFailed")
    assert "service:GetItem is not allowed" in failure["cause"]
    assert answer == {"batchItemFailures": []}


def test_a_check_that_may_not_claim_its_link_fails_the_wait_and_names_the_action(
    exporting: None, deny: Callable[..., Denied], lambda_context: Any
) -> None:
    told = deny("UpdateItem")

    answer = check_export.lambda_handler(check(), lambda_context)

    ((operation, failure),) = told
    assert operation == "SendTaskFailure"
    assert "service:UpdateItem is not allowed" in failure["cause"]
    assert answer == {"batchItemFailures": []}


def test_a_message_stays_in_the_queue_when_the_callback_itself_is_not_allowed(
    exporting: None, deny: Callable[..., Denied], lambda_context: Any
) -> None:
    deny("UpdateItem", "SendTaskFailure")

    assert check_export.lambda_handler(check(), lambda_context)["batchItemFailures"] == [
        {"itemIdentifier": "m"}
    ]
