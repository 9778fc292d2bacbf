"""Failures of AWS calls under the names that the state machine tells apart.

Follows the errors of «SendMessage» and «ReceiveMessage» of the Amazon SQS API Reference, and «Common errors»
of SQS, Lambda and Step Functions. SQS writes some of its codes with `AWS.SimpleQueueService.` before them.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

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
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


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
