"""A refusal names the action that is missing, and nothing else of what the service says."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from common.refusals import describe_refusal, is_denied, refused_action

MARK = "Ada-Lovelace"


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (
            f"User: arn:aws:sts::1:assumed-role/{MARK}/x is not authorized to perform: dynamodb:PutItem on "
            f"resource: arn:aws:dynamodb:::table/{MARK} because no identity-based policy allows it",
            "dynamodb:PutItem",
        ),
        ("User: x is not authorized to perform: sqs:sendmessage on resource: q", "sqs:sendmessage"),
        ("User: x is not authorized to perform: kms:GenerateDataKey on this resource", "kms:GenerateDataKey"),
        (f"is not authorized to perform: {MARK}", None),
        (f"is not authorized to perform: s3:{'x' * 65}", None),
        ("Access Denied", None),
        (None, None),
    ],
)
def test_the_action_is_taken_by_its_form_alone(message: str | None, action: str | None) -> None:
    assert refused_action(message) == action


def test_a_transaction_s_refusal_names_the_action_of_the_item_that_was_refused() -> None:
    message = f"User: {MARK} is not authorized to perform: dynamodb:ConditionCheckItem on resource: {MARK}"
    error = ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": message}}, "TransactWriteItems"
    )
    assert describe_refusal(error) == (
        "TransactWriteItems was refused with AccessDeniedException. "
        "The action dynamodb:ConditionCheckItem is not allowed."
    )


@pytest.mark.parametrize(
    ("code", "denied"), [("AccessDenied", True), ("AccessDeniedException", True), ("SlowDown", False)]
)
def test_only_a_missing_permission_is_a_denial(code: str, denied: bool) -> None:
    assert is_denied(ClientError({"Error": {"Code": code}}, "PutObject")) is denied
