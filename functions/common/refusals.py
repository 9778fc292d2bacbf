"""What a refusal tells of permissions: the IAM action, and nothing else of the service's own words.

A service that refuses for lack of a permission says «User: ... is not authorized to perform: <action> on
resource: ...» (AWS IAM User Guide, «Troubleshoot access denied error messages»). The action is safe to show,
since it is taken by its form alone; the rest may name what was being processed.
"""

from __future__ import annotations

import re

from botocore.exceptions import ClientError

_ACTION = re.compile(r"is not authorized to perform: ([a-z][a-z0-9-]{1,31}:[A-Za-z]{2,64})\b")

_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "KMSAccessDeniedException",
        "KmsAccessDenied",
        "KMS.AccessDeniedException",
        "UnauthorizedOperation",
    }
)


def refused_action(text: object) -> str | None:
    """The IAM action that a service's message says is missing, such as `dynamodb:PutItem`; else None."""
    found = _ACTION.search(text) if isinstance(text, str) else None
    return found[1] if found else None


def naming_the_action(sentence: str, text: object) -> str:
    """`sentence`, followed by one that names the action which `text`, a service's message, misses."""
    action = refused_action(text)
    return sentence if action is None else f"{sentence} The action {action} is not allowed."


def is_denied(error: ClientError) -> bool:
    """Whether a call was refused for lack of a permission, which no retry brings."""
    return error.response.get("Error", {}).get("Code") in _DENIED


def describe_refusal(error: ClientError) -> str:
    """Operation, error code and, where one is missing, the action; none of the service's own words."""
    refusal = error.response.get("Error", {})
    sentence = f"{error.operation_name} was refused with {refusal.get('Code', 'Unknown')}."
    return naming_the_action(sentence, refusal.get("Message"))
