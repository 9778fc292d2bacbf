"""Failures by the names that the state machine knows."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from common.errors import AwsCallFailed
from dlq_redrive.aws_failures import is_unavailable, named_failure, nothing_was_sent
from dlq_redrive.errors import (
    KeyDenied,
    QueueGone,
    RedriveDenied,
    RedriveThrottled,
    TargetGone,
    TargetRefused,
)


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
        ("ServiceUnavailable", AwsCallFailed),
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


def answered(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "SendMessage")


@pytest.mark.parametrize(
    "error",
    [
        answered("RequestThrottled", 400),
        answered("InvalidParameterValue", 400),
        answered("AWS.SimpleQueueService.NonExistentQueue", 400),
        answered("TooManyRequestsException", 429),
        answered("KMSDisabledException", 502),
        answered("EC2ThrottledException", 502),
        RedriveThrottled("x"),
        RedriveDenied("x"),
        KeyDenied("x"),
        QueueGone("x"),
        TargetGone("x"),
        EndpointConnectionError(endpoint_url="x"),
        ConnectTimeoutError(endpoint_url="x"),
    ],
    ids=repr,
)
def test_a_refusal_and_a_request_that_never_left_have_delivered_nothing(error: Exception) -> None:
    assert nothing_was_sent(error)


@pytest.mark.parametrize(
    "error",
    [
        answered("InternalError", 500),
        answered("ServiceUnavailable", 503),
        answered("ServiceException", 500),
        answered("504", 504),
        ReadTimeoutError(endpoint_url="x"),
        ConnectionClosedError(endpoint_url="x"),
        TargetRefused("x"),
        AwsCallFailed("x"),
        ValueError("x"),
    ],
    ids=repr,
)
def test_after_any_other_failure_it_may_have_been_delivered(error: Exception) -> None:
    assert not nothing_was_sent(error)


def test_a_service_that_is_unavailable_is_told_from_one_that_failed_once() -> None:
    assert is_unavailable(answered("ServiceUnavailable", 503))
    assert not is_unavailable(answered("InternalError", 500))
    assert not is_unavailable(ReadTimeoutError(endpoint_url="x"))
