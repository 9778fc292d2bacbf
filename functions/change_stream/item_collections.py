"""The items that make up a resource, as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from change_stream.attribute_values import Image
from change_stream.fhir_mapping import Aggregate

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ItemCollections:
    """Reads the records table, strongly consistent: items are never older than a change that was seen."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def read(self, aggregate: Aggregate, item_id: str, sk: str) -> list[Image]:
        """The base item and its parts; without a base item the parts alone, or nothing. Where there are
        several base items below an id, `sk` says which; otherwise its declaration does. Errors are the
        client's own."""
        fhir = aggregate.base.fhir
        base_sk = fhir.sk if fhir and fhir.sk is not None else sk
        items = self._query(item_id, "sk = :sk", base_sk)
        for part in aggregate.parts:
            if part.fhir and part.fhir.sk is not None:
                items += self._query(item_id, "sk = :sk", part.fhir.sk)
            elif part.fhir:
                items += self._query(item_id, "begins_with(sk, :sk)", part.fhir.sk_prefix or "")
        return items

    def _query(self, item_id: str, condition: str, sk: str) -> list[Any]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            ConsistentRead=True,
            KeyConditionExpression=f"id = :id AND {condition}",
            ExpressionAttributeValues={":id": {"S": item_id}, ":sk": {"S": sk}},
        )
        return [item for page in pages for item in page["Items"]]
