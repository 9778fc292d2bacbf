"""Failures by the names that the state machine knows."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from common.errors import AwsCallFailed
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.errors import KeyDenied, QueueGone, RedriveDenied, RedriveThrottled, TargetGone


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("RequestThrottled", RedriveThrottled),
        ("ThrottlingException", RedriveThrottled),
        ("OverLimit", RedriveThrottled),
        ("KMS.ThrottlingException", RedriveThrottled),
        ("KmsThrottled", RedriveThrottled),
        ("TooManyRequestsException", RedriveThrottled),
        ("KmsAccessDenied", KeyDenied),
        ("AWS.SimpleQueueService.KmsAccessDenied", KeyDenied),
        ("KMS.DisabledException", KeyDenied),
        ("KMSAccessDeniedException", KeyDenied),
        ("KmsInvalidState", KeyDenied),
        ("AWS.SimpleQueueService.NonExistentQueue", QueueGone),
        ("QueueDoesNotExist", QueueGone),
        ("ResourceNotFoundException", TargetGone),
        ("StateMachineDoesNotExist", TargetGone),
        ("AccessDenied", RedriveDenied),
        ("AccessDeniedException", RedriveDenied),
        ("InvalidParameterValue", AwsCallFailed),
    ],
)
def test_each_refusal_has_its_name(code: str, name: type[Exception]) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "SECRET"}}, "SendMessage")
    failure = named_failure(error)
    assert type(failure) is name
    assert str(failure).startswith(f"SendMessage was refused with {code}.")
    assert "SECRET" not in str(failure)


def test_a_missing_permission_is_named() -> None:
    message = "User: x is not authorized to perform: sqs:SendMessage on resource: SECRET"
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, "SendMessage")
    assert str(named_failure(error)).endswith("The action sqs:SendMessage is not allowed.")


def test_a_connection_that_fails_is_named_without_its_endpoint() -> None:
    failure = named_failure(EndpointConnectionError(endpoint_url="https://SECRET"))
    assert str(failure) == "An AWS call failed with EndpointConnectionError."
