"""Who redrives a queue, and how far it has come: the item that the state machine writes as a lock, as the
function sees it that it calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from common.conditional_writes import condition_holds
from common.instants import parse_instant
from common.observability import presentable
from common.table_values import text
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.errors import LockLost
from dlq_redrive.table_keys import lock_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_LOST = "Another execution redrives the queue now, or none does. Nothing more was touched."


@dataclass(frozen=True)
class Held:
    """What stands in a lock that is held: what the owner has written down last, None when it has not yet, and
    when SQS itself last began to redrive the queue."""

    totals: Mapping[str, Any] | None = None
    bulk_at: datetime | None = None


@dataclass(frozen=True)
class QueueLock:
    """The lock of a queue, which `owner` should have: the ARN of an execution."""

    client: DynamoDBClient
    table: str
    queue_name: str
    owner: str

    def read(self) -> Held:
        """What stands in it now. Raises `LockLost` when the lock is not the owner's, and the failure of the
        call under its name."""
        try:
            answer = self.client.get_item(
                TableName=self.table, Key=lock_key(self.queue_name), ConsistentRead=True
            )
        except (ClientError, BotoCoreError) as error:
            raise named_failure(error) from None
        item = answer.get("Item", {})
        if text(item, "owner") != self.owner:
            raise LockLost(_LOST)
        progress = json.loads(text(item, "progress") or "{}")
        totals = progress.get("totals") if progress.get("owner") == self.owner else None
        bulk_at = text(item, "bulkAt")
        return Held(totals, None if bulk_at is None else parse_instant(bulk_at))

    def write(self, totals: Mapping[str, Any]) -> None:
        """Write down how far the owner has come, which a call that is killed cannot return. Raises `LockLost`
        when the lock is the owner's no more; any other failure is logged, and the next write says more."""
        progress = json.dumps({"owner": self.owner, "totals": totals}, separators=(",", ":"))
        try:
            held = condition_holds(lambda: self._write(progress))
        except (ClientError, BotoCoreError) as error:
            presentable(error)
            return
        if not held:
            raise LockLost(_LOST)

    def _write(self, progress: str) -> None:
        self.client.update_item(
            TableName=self.table,
            Key=lock_key(self.queue_name),
            ConditionExpression="#owner = :owner",
            UpdateExpression="SET progress = :progress",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": self.owner}, ":progress": {"S": progress}},
        )
