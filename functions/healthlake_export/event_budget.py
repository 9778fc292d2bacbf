"""The bound on events of a run: a counter in the hub's table that its byte ranges draw from in blocks.

A range keeps what it was granted in an item of its own. When it is processed again it spends that first, so
that repeats do not use the bound up, and tells of the same changes in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from healthlake_export.conditional_writes import CONFLICT_POLICY, condition_holds
from healthlake_export.retry_policy import RetryPolicy
from healthlake_export.table_keys import event_grant_key, granted_events_key
from healthlake_export.table_values import attribute, number

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_LARGEST_BLOCK = 5_000
_FEWEST_BLOCKS = 100

SMALLEST_RESOURCE_BYTES = len('{"resourceType":"A","id":"1"}')
"""No shorter line is a row. An export of fewer bytes than this times the bound cannot exceed it."""


def can_exceed(exported_bytes: int, limit: int) -> bool:
    """Whether an export of this size can have more than `limit` resources, so that they must be counted."""
    return exported_bytes > limit * SMALLEST_RESOURCE_BYTES


class EventBudget:
    """What one byte range may still publish as events of their own, of the `limit` of its run.

    The sum over all ranges never exceeds the limit. It may stay below it by a block for each range, since a
    block granted is not given back.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        run_id: str,
        index: int,
        limit: int,
        policy: RetryPolicy = CONFLICT_POLICY,
    ) -> None:
        self._client = client
        self._table = table
        self._run_id = run_id
        self._index = index
        self._limit = limit
        self._block = max(1, min(_LARGEST_BLOCK, limit // _FEWEST_BLOCKS))
        self._policy = policy
        self._blocks: int | None = None
        self._left = 0
        self._used_up = False

    def take(self) -> bool:
        """Spend one event; False when the run's events are used up, and from then on."""
        if not self._left and not self._used_up:
            self._draw()
        if not self._left:
            return False
        self._left -= 1
        return True

    def _draw(self) -> None:
        if self._blocks is None:
            self._blocks = self._granted_before()
            self._left = self._blocks * self._block
            if self._left:
                return
        if self._grant(self._blocks):
            self._blocks += 1
            self._left = self._block
        else:
            self._used_up = True

    def _granted_before(self) -> int:
        answer = self._client.get_item(
            TableName=self._table, Key=event_grant_key(self._run_id, self._index), ConsistentRead=True
        )
        return number(answer.get("Item", {}), "blocks") or 0

    def _grant(self, blocks: int) -> bool:
        actions = [self._count_in_run(), self._count_in_range(blocks)]
        return condition_holds(lambda: self._client.transact_write_items(TransactItems=actions), self._policy)

    def _count_in_run(self) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table,
                "Key": granted_events_key(self._run_id),
                "UpdateExpression": "ADD granted :block",
                "ConditionExpression": "attribute_not_exists(granted) OR granted <= :before",
                "ExpressionAttributeValues": {
                    ":block": attribute(self._block),
                    ":before": attribute(self._limit - self._block),
                },
            }
        }

    def _count_in_range(self, blocks: int) -> TransactWriteItemTypeDef:
        """Only on what this invocation has seen: of two that process the range at once one goes on."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": event_grant_key(self._run_id, self._index),
                "UpdateExpression": "SET blocks = :next",
                "ConditionExpression": "attribute_not_exists(blocks) OR blocks = :now",
                "ExpressionAttributeValues": {":now": attribute(blocks), ":next": attribute(blocks + 1)},
            }
        }
