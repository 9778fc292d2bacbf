"""Conditional writes of DynamoDB: whether the condition held, with conflicts tried again.

Follows the Amazon DynamoDB Developer Guide, «Amazon DynamoDB Transactions: How it works», on transaction
conflicts: a write that meets a transaction on the same item is refused, which the SDK does not try again.
"""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import ClientError

from common.retry_policy import RetryPolicy

CONFLICT_POLICY = RetryPolicy(tries=12, first_wait=0.05, longest_wait=2.0)

_CONDITION_FAILED = frozenset({"ConditionalCheckFailed", "ConditionalCheckFailedException"})
_FOR_NOW = frozenset(
    {
        "TransactionConflict",
        "TransactionConflictException",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    }
)


def condition_holds(write: Callable[[], object], policy: RetryPolicy = CONFLICT_POLICY) -> bool:
    """Make a conditional write or transaction; False when its condition did not hold.

    Conflicts are normal where many check the same item, as every child of the export's map does. After the
    last try the refusal is let through.
    """
    for failures in range(1, policy.tries + 1):
        try:
            write()
        except ClientError as error:
            codes = _refusal_codes(error)
            if codes & _CONDITION_FAILED:
                return False
            if not codes & _FOR_NOW or failures == policy.tries:
                raise
        else:
            return True
        policy.wait(failures)
    return False  # a policy without tries has written nothing


def _refusal_codes(error: ClientError) -> set[str]:
    """The error's code and, of a cancelled transaction, the codes of its reasons."""
    reasons = error.response.get("CancellationReasons", [])
    return {error.response["Error"]["Code"], *(reason.get("Code", "None") for reason in reasons)}
