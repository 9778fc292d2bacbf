"""Failures of AWS calls under the names that the state machine tells apart.

Follows the errors of «SendMessage» and «ReceiveMessage» of the Amazon SQS API Reference, and «Common errors»
of SQS, Lambda and Step Functions. SQS writes some of its codes with `AWS.SimpleQueueService.` before them.
"""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from common.errors import AwsCallFailed, HubError
from common.refusals import describe_refusal, is_denied
from dlq_redrive.errors import KeyDenied, QueueGone, RedriveDenied, RedriveThrottled, TargetGone

_SQS = "AWS.SimpleQueueService."
_QUEUE_GONE = frozenset({"NonExistentQueue", "QueueDoesNotExist", "QueueDeletedRecently"})
_TARGET_GONE = frozenset({"ResourceNotFoundException", "StateMachineDoesNotExist", "NotFoundException"})
_THROTTLED = frozenset(
    {
        "EC2ThrottledException",
        "ExecutionLimitExceeded",
        "KMSThrottlingException",
        "KmsThrottled",
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_UNAVAILABLE = "ServiceUnavailable"
"""No refusal: nobody knows whether the call was done. Another try at once might be another delivery."""

_NEVER_LEFT = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError, ParamValidationError)
_REFUSALS = (RedriveThrottled, RedriveDenied, KeyDenied, QueueGone, TargetGone)
_REFUSING = frozenset(range(400, 500)) - {408}
"""Statuses that refuse; 408 says that a request was not heard to its end."""


def named_failure(error: ClientError | BotoCoreError) -> HubError:
    """The failure of a call under its name, with a message that names operation, code and missing action."""
    if isinstance(error, BotoCoreError):
        return AwsCallFailed(f"An AWS call failed with {type(error).__name__}.")
    sentence = describe_refusal(error)
    code = str(error.response.get("Error", {}).get("Code", "")).removeprefix(_SQS)
    if code in _THROTTLED or code.endswith("ThrottlingException"):
        return RedriveThrottled(sentence)
    if code.upper().startswith("KMS"):
        return KeyDenied(sentence)
    if code in _QUEUE_GONE:
        return QueueGone(sentence)
    if code in _TARGET_GONE:
        return TargetGone(sentence)
    return RedriveDenied(sentence) if is_denied(error) else AwsCallFailed(sentence)


def is_unavailable(error: Exception) -> bool:
    """Whether a service answered that it can be had by nobody now, so that what follows is spared the try."""
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == _UNAVAILABLE


def nothing_was_sent(error: Exception) -> bool:
    """Whether the send that failed with `error` has delivered nothing, for certain.

    That is so when the request never left, and when the service answered that it refused: with a named
    refusal, or another status of 400 to 499. It is not certain after a timeout, a lost connection or a
    failure of the service itself (a status from 500 on), and not so when a target ran and failed or took a
    part. The client must be one that makes one attempt: of several the error shows the last.
    """
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in _REFUSING or isinstance(named_failure(error), _REFUSALS)
    return isinstance(error, _REFUSALS + _NEVER_LEFT)
