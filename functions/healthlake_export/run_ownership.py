"""The condition that a run owns its lock, for transactions that write on behalf of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from healthlake_export.table_keys import state_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


def owned_by(table: str, datastore_id: str, execution_arn: str) -> TransactWriteItemTypeDef:
    """The part of a transaction that refuses it unless the execution owns the run lock."""
    return {
        "ConditionCheck": {
            "TableName": table,
            "Key": state_key(datastore_id),
            "ConditionExpression": "#owner = :owner",
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ExpressionAttributeValues": {":owner": {"S": execution_arn}},
        }
    }
