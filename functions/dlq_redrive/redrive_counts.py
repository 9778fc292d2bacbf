"""How often it was tried to send a message back one by one, in the hub's table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from common.conditional_writes import CONFLICT_POLICY, condition_holds
from common.instants import format_instant, parse_instant
from common.retry_policy import RetryPolicy
from common.table_values import text
from dlq_redrive.table_keys import Key, count_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_KEPT = timedelta(days=30)
"""Longer than a message can live between two redrives: 14 days where it was sent and 14 where it died."""


@dataclass(frozen=True, order=True)
class Attempt:
    """One try of one call of the function to send one message back. `execution` is the name of the execution
    that the call belongs to, `call` the id of the call's request."""

    at: str
    execution: str
    message_id: str
    call: str

    @property
    def written(self) -> str:
        """The attempt as an element of a set."""
        return json.dumps([self.at, self.execution, self.message_id, self.call])

    @classmethod
    def read(cls, written: str) -> Attempt:
        """The attempt that was written so."""
        return cls(*json.loads(written))

    @property
    def entry(self) -> dict[str, str]:
        """The attempt as it stands in the history of a message in quarantine."""
        return {"at": self.at, "execution": self.execution, "messageId": self.message_id}


@dataclass(frozen=True)
class Redrives:
    """The attempts to send messages of an identity back, oldest first; `refused` are those of them that
    reached a target which failed on the message at once."""

    attempts: tuple[Attempt, ...] = ()
    refused: frozenset[Attempt] = frozenset()
    first_failed_at: str | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, AttributeValueTypeDef]) -> Redrives:
        """The redrives in an item of the table."""
        return cls(
            attempts=tuple(sorted(_attempts(item, "attempts"))),
            refused=frozenset(_attempts(item, "refused")),
            first_failed_at=text(item, "firstFailedAt"),
        )

    @property
    def number(self) -> int:
        """How many attempts there are."""
        return len(self.attempts)

    @property
    def history(self) -> tuple[Mapping[str, str], ...]:
        """When each was, by which execution, and of which message."""
        return tuple(attempt.entry for attempt in self.attempts)

    def came_back(self, execution: str, message_id: str, sent_at: datetime) -> bool:
        """Whether a message died again of what an execution did: its target failed on it at once, or it was
        sent after the execution had sent back another message of its identity.

        What this execution sent back has a new id and SQS's time of that sending, or in a FIFO queue and
        where a service wrote it of its death. A message that was sent before is another one, which looks the
        same. One that was tried before and is still here was not seen to be sent.
        """
        own = [attempt for attempt in self.attempts if attempt.execution == execution]
        if any(attempt in self.refused for attempt in own if attempt.message_id == message_id):
            return True
        return any(
            attempt.message_id != message_id and parse_instant(attempt.at) <= sent_at for attempt in own
        )


def _attempts(item: Mapping[str, AttributeValueTypeDef], name: str) -> list[Attempt]:
    return [Attempt.read(written) for written in item.get(name, {}).get("SS", [])]


class RedriveCounts:
    """Counts of one dead-letter queue. `execution` is the name of the execution that counts, `call` the id of
    the request in which it does.

    An item grows with the attempts that are counted at the same time, of which there are never more than
    `most`, however many messages share it.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        queue_name: str,
        execution: str,
        call: str = "",
        policy: RetryPolicy = CONFLICT_POLICY,
    ) -> None:
        self._client = client
        self._table = table
        self._queue_name = queue_name
        self._execution = execution
        self._call = call
        self._policy = policy

    def read(self, identity: str) -> Redrives:
        """The redrives of an identity, as they are now."""
        answer = self._client.get_item(TableName=self._table, Key=self._key(identity), ConsistentRead=True)
        return Redrives.from_item(answer.get("Item", {}))

    def attempt(self, message_id: str, now: datetime) -> Attempt:
        """An attempt of this call, which is not counted yet."""
        return Attempt(format_instant(now), self._execution, message_id, self._call)

    def count(self, identity: str, attempt: Attempt, *, most: int, failed_at: datetime) -> int | None:
        """Count an attempt, once however often it is asked, and return how many there are with it; None when
        there were `most` already.

        One conditional update, which botocore may make twice, since a set has an element once: of two that
        count at once both are counted, and never more than `most`.
        """
        written: list[Redrives] = []
        if condition_holds(
            lambda: written.append(self._add(identity, attempt, most, failed_at)), self._policy
        ):
            return written[0].number
        redrives = self.read(identity)
        return redrives.number if attempt in redrives.attempts else None

    def take_back(self, identity: str, attempt: Attempt) -> None:
        """Count an attempt no more, of which it is certain that it sent nothing."""
        self._update(identity, attempt, "DELETE attempts :attempt")

    def refuse(self, identity: str, attempt: Attempt) -> None:
        """Write down that an attempt reached its target, which failed on it. It stays counted."""
        self._update(identity, attempt, "ADD refused :attempt")

    def _key(self, identity: str) -> Key:
        return count_key(self._queue_name, identity)

    def _add(self, identity: str, attempt: Attempt, most: int, failed_at: datetime) -> Redrives:
        expires = parse_instant(attempt.at) + _KEPT
        answer = self._client.update_item(
            TableName=self._table,
            Key=self._key(identity),
            ConditionExpression="attribute_not_exists(attempts) OR size(attempts) < :most",
            UpdateExpression=(
                "SET firstFailedAt = if_not_exists(firstFailedAt, :failed), expiresAt = :expires"
                " ADD attempts :attempt"
            ),
            ExpressionAttributeValues={
                ":most": {"N": str(most)},
                ":attempt": {"SS": [attempt.written]},
                ":failed": {"S": format_instant(failed_at)},
                ":expires": {"N": str(int(expires.timestamp()))},
            },
            ReturnValues="ALL_NEW",
        )
        return Redrives.from_item(answer["Attributes"])

    def _update(self, identity: str, attempt: Attempt, expression: str) -> None:
        """Change the item of an attempt, if it is counted there."""
        condition_holds(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=self._key(identity),
                ConditionExpression="contains(attempts, :written)",
                UpdateExpression=expression,
                ExpressionAttributeValues={
                    ":written": {"S": attempt.written},
                    ":attempt": {"SS": [attempt.written]},
                },
            ),
            self._policy,
        )
