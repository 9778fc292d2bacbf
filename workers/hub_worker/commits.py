"""The effect of a job, committed once: its Job item and the change of the item it was about, together or not.

Follows the Amazon DynamoDB Developer Guide, «Amazon DynamoDB Transactions: How it works». What makes it
once is the condition that no Job item of the transition exists, so that neither time nor who commits
matters.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hub_worker.item_values import to_attribute
from hub_worker.messages import JobMessage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TRIES = 8
_FOR_NOW = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_REFUSED = "ConditionalCheckFailed"


class Outcome(StrEnum):
    """What became of a job."""

    DONE = "DONE"
    FAILED = "FAILED"
    SUPERSEDED = "SUPERSEDED"
    REPEATED = "REPEATED"


@dataclass(frozen=True)
class ItemChange:
    """A change of the item that a job is about: `values` are set, if the item still has those of
    `unless_changed`."""

    item_id: str
    unless_changed: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Effect:
    """What a job leaves behind. `result` holds counts, hashes and types, never content."""

    result: Mapping[str, Any] = field(default_factory=dict)
    change: ItemChange | None = None


@dataclass(frozen=True)
class Commits:
    """Writes effects into the table of jobs."""

    dynamodb: DynamoDBClient
    table: str
    worker: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep

    def committed(self, job: JobMessage) -> bool:
        """Whether the job has had its effect."""
        answer = self.dynamodb.get_item(
            TableName=self.table,
            Key={"id": {"S": job.job_id}},
            ConsistentRead=True,
            ProjectionExpression="id",
        )
        return "Item" in answer

    def commit(self, job: JobMessage, outcome: Outcome, effect: Effect, **more: Any) -> Outcome:
        """Commit the effect and return what became of it: `outcome`, or REPEATED when the job had its effect
        before, or SUPERSEDED, recorded too, when the item is not any more what the job was about."""
        writes: list[dict[str, Any]] = [self._recorded(job, outcome, {"result": effect.result, **more})]
        if effect.change:
            writes.append(self._changed(job, effect.change))
        refused = self._write(writes)
        if not refused:
            return outcome
        if 0 in refused:
            return Outcome.REPEATED
        superseded = self._write([self._recorded(job, Outcome.SUPERSEDED, {})])
        return Outcome.REPEATED if superseded else Outcome.SUPERSEDED

    def _recorded(self, job: JobMessage, outcome: Outcome, more: Mapping[str, Any]) -> dict[str, Any]:
        item = {
            "id": job.job_id,
            "itemType": "Job",
            "phase": outcome.value,
            "rule": job.rule,
            "item": job.item_id,
            "sequenceNumber": job.sequence_number,
            "worker": self.worker,
            "finishedAt": self._time(),
            **{name: value for name, value in more.items() if value},
        }
        return {
            "Put": {
                "TableName": self.table,
                "Item": {name: to_attribute(value) for name, value in item.items()},
                "ConditionExpression": "attribute_not_exists(id)",
            }
        }

    def _changed(self, job: JobMessage, change: ItemChange) -> dict[str, Any]:
        """The change of the item, with the job that made it."""
        values = {**change.values, "processedBy": job.job_id, "processedAt": self._time()}
        names = {f"#{name}": name for name in (*change.unless_changed, *values)}
        asked = {f":old_{name}": to_attribute(value) for name, value in change.unless_changed.items()}
        given = {f":new_{name}": to_attribute(value) for name, value in values.items()}
        return {
            "Update": {
                "TableName": self.table,
                "Key": {"id": {"S": change.item_id}},
                "UpdateExpression": "SET " + ", ".join(f"#{name} = :new_{name}" for name in values),
                "ConditionExpression": " AND ".join(
                    f"#{name} = :old_{name}" for name in change.unless_changed
                ),
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": asked | given,
            }
        }

    def _write(self, writes: list[dict[str, Any]]) -> set[int]:
        """Make the writes together; returns which of them were refused by their condition, none when made.

        Conflicts with other transactions are tried again; the last one is let through.
        """
        for failures in range(1, TRIES + 1):
            try:
                self.dynamodb.transact_write_items(TransactItems=writes)  # type: ignore[arg-type]
            except ClientError as error:
                codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                refused = {place for place, code in enumerate(codes) if code == _REFUSED}
                if refused:
                    return refused
                if not _FOR_NOW & set(codes) or failures == TRIES:
                    raise
            else:
                return set()
            self.sleep(random.uniform(0, min(0.05 * 2**failures, 2)))  # noqa: S311 - spreads tries
        return set()

    def _time(self) -> str:
        return self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
