"""Keys of the redrive workflow's items in the hub's table.

| item                | pk                     | sk                   |
|---------------------|------------------------|----------------------|
| lock of a queue     | `REDRIVE#<queue name>` | `LOCK`               |
| count of a message  | `REDRIVE#<queue name>` | `MESSAGE#<identity>` |

The queue is the dead-letter queue. The lock's item has `owner`, the ARN of the execution that redrives the
queue, while one does, `takenAt`, since when it does, and `redrivenAt`, the instant at which the last redrive
ended, whoever it was: what comes back within the cool-down after it is redriven one by one. `task` is the
handle of the owner's move task, and `bulkAt` the instant just before the last one was asked for, which stays:
it was the first redrive of what comes back. `progress` is a JSON text: an `owner`, and the `totals` that it
has counted.

A count has `attempts`, a set of all tries to send messages of the identity back, each with when, by which
execution and call, and of which message; `refused`, those of them that a target failed on at once;
`firstFailedAt`; and `expiresAt`, in seconds since 1970, from which on DynamoDB may drop it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

Key = dict[str, "AttributeValueTypeDef"]


def lock_key(queue_name: str) -> Key:
    """Key of the item that says who redrives a queue, and when one last did."""
    return {"pk": {"S": f"REDRIVE#{queue_name}"}, "sk": {"S": "LOCK"}}


def count_key(queue_name: str, identity: str) -> Key:
    """Key of the item that counts the redrives of a message."""
    return {"pk": {"S": f"REDRIVE#{queue_name}"}, "sk": {"S": f"MESSAGE#{identity}"}}
