"""The ledger: one item per byte range, which says what became of every byte and every line in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

from common.conditional_writes import CONFLICT_POLICY, condition_holds
from common.names import camel_case
from common.retry_policy import RetryPolicy
from common.table_values import attributes, plain
from healthlake_export.errors import RunSuperseded
from healthlake_export.run_context import RunContext
from healthlake_export.run_ownership import owned_by
from healthlake_export.table_keys import ledger_key, ledger_partition, state_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef


@dataclass(frozen=True)
class LedgerItem:
    """What processing a byte range came to.

    Lines and positions are counted where the object is split, `line_bytes`, `rows` and `repeated` where
    a line's outcome is decided, `published` (`batched` of them within events for many) and `quarantined`
    where EventBridge and S3 have confirmed them, and `lake_rows` where the footers of the lake's files do: a
    line lost in between shows. From `first_line_at` to
    `lines_end_at` go the lines that start in the range, blank ones included; both are None when none does.
    """

    index: int
    key: str
    etag: str
    start: int
    end: int
    first_line_at: int | None
    lines_end_at: int | None
    line_bytes: int
    blank_bytes: int
    blank: int
    lines: int
    rows: int
    published: int
    batched: int
    repeated: int
    quarantined: int
    withheld: int
    lake_files: int
    lake_rows: int
    lake_bytes: int
    published_ids: int
    completed_at: str

    @classmethod
    def from_item(cls, item: Mapping[str, AttributeValueTypeDef]) -> LedgerItem:
        """The ledger item in an item of the table."""
        stored = plain(item)
        # Items that were written before batches, erasures and the lake came have nothing of them.
        values = {"batched": 0, "withheld": 0, "lakeFiles": 0, "lakeRows": stored.get("rows"), "lakeBytes": 0}
        values |= stored
        return cls(**{name: values.get(stored) for name, stored in _STORED_AS.items()})  # type: ignore[arg-type]

    def to_item(self) -> dict[str, AttributeValueTypeDef]:
        """The attributes of the item in the table, without its key."""
        return attributes({stored: getattr(self, name) for name, stored in _STORED_AS.items()})


_STORED_AS = {field.name: camel_case(field.name) for field in fields(LedgerItem)}


class Ledger:
    """The ledger of one run, written only while the run owns the lock of its datastore."""

    def __init__(
        self, client: DynamoDBClient, table: str, run: RunContext, policy: RetryPolicy = CONFLICT_POLICY
    ) -> None:
        self._client = client
        self._table = table
        self._run = run
        self._policy = policy

    def require_ownership(self) -> None:
        """Raise `RunSuperseded` unless the run owns the lock now: work that could not be recorded
        need not be begun."""
        answer = self._client.get_item(
            TableName=self._table,
            Key=state_key(self._run.datastore_id),
            ConsistentRead=True,
            ProjectionExpression="#owner",
            ExpressionAttributeNames={"#owner": "owner"},
        )
        if answer.get("Item", {}).get("owner", {}).get("S") != self._run.execution_arn:
            raise self._superseded()

    def write(self, entry: LedgerItem) -> None:
        """Write an item, over one that an earlier try wrote.

        Raises `RunSuperseded` when the run does not own the lock.
        """
        actions = self._actions(entry)
        write = partial(self._client.transact_write_items, TransactItems=actions)
        if not condition_holds(write, self._policy):
            raise self._superseded()

    def read(self) -> Iterator[LedgerItem]:
        """Every item of the run, by index."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :run AND begins_with(sk, :range)",
            ExpressionAttributeValues={":run": ledger_partition(self._run.run_id), ":range": {"S": "RANGE#"}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from map(LedgerItem.from_item, page["Items"])

    def _actions(self, entry: LedgerItem) -> list[TransactWriteItemTypeDef]:
        return [
            owned_by(self._table, self._run.datastore_id, self._run.execution_arn),
            {
                "Put": {
                    "TableName": self._table,
                    "Item": {**ledger_key(self._run.run_id, entry.index), **entry.to_item()},
                }
            },
        ]

    def _superseded(self) -> RunSuperseded:
        return RunSuperseded(f"The run {self._run.run_id} no longer owns the lock of its datastore.")
