"""The bound on events of a run: a counter in the hub's table that its byte ranges draw from in blocks.

A range keeps what it was granted in an item of its own, and gives back what it did not need. When it is
processed again it spends that first, so that repeats do not use the bound up, and tells of the same changes
in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.conditional_writes import CONFLICT_POLICY, condition_holds
from common.retry_policy import RetryPolicy
from common.table_values import attribute, number
from healthlake_export.table_keys import event_grant_key, granted_events_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_LARGEST_BLOCK = 5_000
_FEWEST_BLOCKS = 100
_BLOCKS_PER_RANGE_AT_WORK = 5

SMALLEST_RESOURCE_BYTES = len('{"resourceType":"A","id":"1"}')
"""No shorter line is a row. An export of fewer bytes than this times the bound cannot exceed it."""


def can_exceed(exported_bytes: int, limit: int) -> bool:
    """Whether an export of this size can have more than `limit` resources, so that they must be counted."""
    return exported_bytes > limit * SMALLEST_RESOURCE_BYTES


class EventBudget:
    """What one byte range may still publish as events of their own, of the `limit` of its run.

    The sum over all ranges never exceeds the limit. It may stay below it by a block for each of the
    `at_once` ranges that may be under way when the limit is met: a fifth of it at most, and of an ordinary
    run a hundredth or less.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        run_id: str,
        index: int,
        limit: int,
        at_once: int = 1,
        policy: RetryPolicy = CONFLICT_POLICY,
    ) -> None:
        self._client = client
        self._table = table
        self._run_id = run_id
        self._index = index
        self._limit = limit
        blocks = max(_FEWEST_BLOCKS, _BLOCKS_PER_RANGE_AT_WORK * at_once)
        self._block = max(1, min(_LARGEST_BLOCK, limit // blocks))
        self._policy = policy
        self._granted: int | None = None
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

    def give_back(self) -> None:
        """Return what was drawn and not spent to the run, at the end of the range: many small ranges would
        use the bound up otherwise with few events."""
        if self._granted is not None and self._left:
            self._change_grant(self._granted, -self._left)
            self._left = 0

    def _draw(self) -> None:
        if self._granted is None:
            self._granted = self._left = self._granted_before()
            if self._left:
                return
        if self._change_grant(self._granted, self._block):
            self._granted += self._block
            self._left = self._block
        else:
            self._used_up = True

    def _granted_before(self) -> int:
        answer = self._client.get_item(
            TableName=self._table, Key=event_grant_key(self._run_id, self._index), ConsistentRead=True
        )
        return number(answer.get("Item", {}), "granted") or 0

    def _change_grant(self, now: int, events: int) -> bool:
        """Grant the range so many events more than `now`, or take so many from it if there is a minus."""
        actions = [self._count_in_run(events), self._count_in_range(now, now + events)]
        return condition_holds(lambda: self._client.transact_write_items(TransactItems=actions), self._policy)

    def _count_in_run(self, events: int) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table,
                "Key": granted_events_key(self._run_id),
                "UpdateExpression": "ADD granted :events",
                "ConditionExpression": "attribute_not_exists(granted) OR granted <= :before",
                "ExpressionAttributeValues": {
                    ":events": attribute(events),
                    ":before": attribute(self._limit - events),
                },
            }
        }

    def _count_in_range(self, now: int, then: int) -> TransactWriteItemTypeDef:
        """Only on what this invocation has seen: of two that process the range at once one goes on."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": event_grant_key(self._run_id, self._index),
                "UpdateExpression": "SET granted = :then",
                "ConditionExpression": "attribute_not_exists(granted) OR granted = :now",
                "ExpressionAttributeValues": {":now": attribute(now), ":then": attribute(then)},
            }
        }
