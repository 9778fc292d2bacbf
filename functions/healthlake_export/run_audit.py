"""The audit item of a run: who asked for what, what it covered, how it ended. Kept for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from common.table_values import attributes, plain
from healthlake_export.run_context import RunContext, RunIdentity
from healthlake_export.table_keys import run_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, UpdateTypeDef


def run_that_begins(table: str, run: RunContext, locked_at: str) -> TransactWriteItemTypeDef:
    """The write of the audit item of a run that begins, over that of an earlier try to begin."""
    facts = {
        "runId": run.run_id,
        "executionArn": run.execution_arn,
        "datastoreId": run.datastore_id,
        "status": "RUNNING",
        "startedBy": run.started_by,
        "mode": run.mode,
        "since": run.since,
        "until": run.until,
        "types": ",".join(run.types) or None,
        "events": run.events,
        "startedAt": run.started_at,
        "lockedAt": locked_at,
    }
    return {"Put": {"TableName": table, "Item": {**run_key(run.run_id), **attributes(facts)}}}


def read_run(client: DynamoDBClient, table: str, run: RunIdentity) -> dict[str, Any]:
    """The audit item of a run as plain values; empty when there is none."""
    key = run_key(run.run_id)
    answer = client.get_item(TableName=table, Key=key, ConsistentRead=True)
    return plain(answer.get("Item", {}))


def completed_run(table: str, run: RunIdentity, outcome: Mapping[str, Any]) -> TransactWriteItemTypeDef:
    """The write that adds `outcome` to a run's audit item, for the transaction that ends the run."""
    return {"Update": _outcome_update(table, run, outcome)}


def run_that_never_began(
    table: str, run: RunIdentity, outcome: Mapping[str, Any]
) -> TransactWriteItemTypeDef:
    """The write of the audit item of a run that failed before it had the lock; refused when there is one."""
    return {
        "Update": {
            **_outcome_update(table, run, outcome),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }


def _outcome_update(table: str, run: RunIdentity, outcome: Mapping[str, Any]) -> UpdateTypeDef:
    facts = attributes(outcome)
    return {
        "TableName": table,
        "Key": run_key(run.run_id),
        "UpdateExpression": "SET " + ", ".join(f"#f{number} = :f{number}" for number in range(len(facts))),
        "ExpressionAttributeNames": {f"#f{number}": name for number, name in enumerate(facts)},
        "ExpressionAttributeValues": {f":f{number}": value for number, value in enumerate(facts.values())},
    }
