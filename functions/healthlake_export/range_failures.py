"""Why byte ranges failed: kept beside the ledger, because a map that fails tells only that a child did.

A range that failed and succeeded when it was tried again has a ledger item, and its failure counts no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import HubError
from common.table_values import attributes, number, text
from healthlake_export.table_keys import failure_key, ledger_key, ledger_partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_LOOKED_AT = 50


class RangeFailures:
    """The failures of the byte ranges of one run."""

    def __init__(self, client: DynamoDBClient, table: str, run_id: str) -> None:
        self._client = client
        self._table = table
        self._run_id = run_id

    def record(self, index: int, error: HubError) -> None:
        """Remember why a range failed, over what an earlier try of it left."""
        facts = {"index": index, "error": type(error).__name__, "reason": str(error)}
        self._client.put_item(
            TableName=self._table, Item={**failure_key(self._run_id, index), **attributes(facts)}
        )

    def first(self) -> str | None:
        """A sentence about the first range that failed and was not processed later, or None."""
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :run AND begins_with(sk, :failed)",
            ExpressionAttributeValues={":run": ledger_partition(self._run_id), ":failed": {"S": "FAILED#"}},
            Limit=_LOOKED_AT,
            ConsistentRead=True,
        )
        for item in answer["Items"]:
            index = number(item, "index") or 0
            if not self._was_processed(index):
                return f"Byte range {index}: {text(item, 'error')}: {text(item, 'reason')}"
        return None

    def _was_processed(self, index: int) -> bool:
        key = ledger_key(self._run_id, index)
        return "Item" in self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
