"""How often a message was sent back one by one, in the hub's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from common.conditional_writes import CONFLICT_POLICY, condition_holds
from common.instants import format_instant
from common.retry_policy import RetryPolicy
from common.table_values import number, text
from dlq_redrive.table_keys import count_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_KEPT = timedelta(days=30)
"""Longer than a message can live between two redrives: 4 days in its source and 14 where it died."""


@dataclass(frozen=True)
class Redrives:
    """The redrives of an identity so far. `message_ids` are those of the messages that were counted, one for
    each redrive; `history` says when and by which execution."""

    number: int = 0
    message_ids: tuple[str, ...] = ()
    history: tuple[Mapping[str, str], ...] = ()
    first_failed_at: str | None = None
    last_execution: str | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, AttributeValueTypeDef]) -> Redrives:
        """The redrives in an item of the table."""
        return cls(
            number=number(item, "redrives") or 0,
            message_ids=tuple(one["S"] for one in item.get("messageIds", {}).get("L", [])),
            history=tuple(_texts(one["M"]) for one in item.get("history", {}).get("L", [])),
            first_failed_at=text(item, "firstFailedAt"),
            last_execution=text(item, "lastExecution"),
        )

    def counted(self, message_id: str) -> int | None:
        """Which redrive that message was counted as, from 1 on; None when it was not."""
        return self.message_ids.index(message_id) + 1 if message_id in self.message_ids else None


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value["S"] for name, value in values.items()}


class RedriveCounts:
    """Counts of one dead-letter queue. `execution` is the name of the execution that counts."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        queue_name: str,
        execution: str,
        policy: RetryPolicy = CONFLICT_POLICY,
    ) -> None:
        self._client = client
        self._table = table
        self._queue_name = queue_name
        self._execution = execution
        self._policy = policy

    def read(self, identity: str) -> Redrives:
        """The redrives of an identity, as they are now."""
        key = count_key(self._queue_name, identity)
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return Redrives.from_item(answer.get("Item", {}))

    def count(
        self, identity: str, message_id: str, *, most: int, now: datetime, failed_at: datetime
    ) -> int | None:
        """Count a redrive of a message, once however often it is asked, and return which one it is, from 1
        on; None when the identity was redriven `most` times already.

        One conditional update: of two that count at once both are counted, and never more than `most`.
        """
        written: list[Redrives] = []
        if condition_holds(
            lambda: written.append(self._write(identity, message_id, most, now, failed_at)), self._policy
        ):
            return written[0].counted(message_id)
        return self.read(identity).counted(message_id)

    def _write(
        self, identity: str, message_id: str, most: int, now: datetime, failed_at: datetime
    ) -> Redrives:
        entry = {
            "at": {"S": format_instant(now)},
            "execution": {"S": self._execution},
            "messageId": {"S": message_id},
        }
        answer = self._client.update_item(
            TableName=self._table,
            Key=count_key(self._queue_name, identity),
            ConditionExpression=(
                "(attribute_not_exists(redrives) OR redrives < :most)"
                " AND (attribute_not_exists(messageIds) OR NOT contains(messageIds, :message))"
            ),
            UpdateExpression=(
                "SET messageIds = list_append(if_not_exists(messageIds, :none), :messages),"
                " history = list_append(if_not_exists(history, :none), :entries),"
                " firstFailedAt = if_not_exists(firstFailedAt, :failed),"
                " lastExecution = :execution, expiresAt = :expires"
                " ADD redrives :one"
            ),
            ExpressionAttributeValues={
                ":one": {"N": "1"},
                ":none": {"L": []},
                ":most": {"N": str(most)},
                ":message": {"S": message_id},
                ":messages": {"L": [{"S": message_id}]},
                ":entries": {"L": [{"M": entry}]},
                ":failed": {"S": format_instant(failed_at)},
                ":execution": {"S": self._execution},
                ":expires": {"N": str(int((now + _KEPT).timestamp()))},
            },
            ReturnValues="ALL_NEW",
        )
        return Redrives.from_item(answer["Attributes"])
