"""Who redrives a queue: the item that the state machine writes, read by the function that it calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from common.table_values import text
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.errors import LockLost
from dlq_redrive.table_keys import lock_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def require_lock(client: DynamoDBClient, table: str, queue_name: str, owner: str) -> None:
    """Return when the lock of a queue is that execution's. Raises `LockLost` when it is not, and the failure
    of the call under its name."""
    try:
        answer = client.get_item(TableName=table, Key=lock_key(queue_name), ConsistentRead=True)
    except (ClientError, BotoCoreError) as error:
        raise named_failure(error) from None
    if text(answer.get("Item", {}), "owner") != owner:
        raise LockLost("Another execution redrives the queue now, or none does. Nothing was touched.")
