"""What AWS refuses, in words: which action was not allowed, whose credentials are not good, what is busy."""

import re

from botocore.exceptions import ClientError, NoCredentialsError, ProfileNotFound

from local.cli.errors import CommandError

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_SLOW_DOWN = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# Where the action that a policy allows has another name than the operation.
_ACTIONS = {
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "GetObject": "s3:GetObject",
}
_ACTION = re.compile(r"not authorized to perform:? ([\w-]+:\w+)")
_RESOURCE = re.compile(r"on resource: (\S+)")


def refusal(error: Exception) -> CommandError | None:
    """What a refusal of a real account means and what to do, or None when only its own words say it."""
    if isinstance(error, NoCredentialsError):
        return CommandError(
            "No AWS credentials were found.",
            "Choose them with --profile, or set AWS_PROFILE; then try again.",
        )
    if isinstance(error, ProfileNotFound):
        return CommandError(f"{error}.", "`aws configure list-profiles` shows those that there are.")
    if not isinstance(error, ClientError):
        return None
    told = error.response.get("Error", {})
    code, message = told.get("Code", ""), told.get("Message", "")
    if code in _DENIED:
        return _denied(error.operation_name, message)
    if code in _BAD_CREDENTIALS:
        return CommandError(f"AWS does not accept the credentials: {code}.", "Sign in again, then try again.")
    if code in _SLOW_DOWN:
        return CommandError(f"AWS is asked too often: {code}.", "Wait a minute, then try again.")
    return None


def _denied(operation: str, message: str) -> CommandError:
    action = _ACTION.search(message)
    resource = _RESOURCE.search(message)
    name = action[1] if action else _ACTIONS.get(operation, operation)
    where = f" on {resource[1].rstrip('.')}" if resource else ""
    return CommandError(f"Not allowed: {name}{where}.", "Have this action allowed, or use another --profile.")
