"""The items of a resource are read as they are now, by their keys and nothing beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from change_stream.fhir_mapping import fhir_mappings
from change_stream.item_collections import ItemCollections

CONDITIONS = {
    "Patient": [("id = :id AND sk = :sk", "PATIENT"), ("id = :id AND begins_with(sk, :sk)", "ADDRESS#")],
    "Observation": [("id = :id AND sk = :sk", "MEASUREMENT#7")],
}


class Table:
    """Answers every query with two pages and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def get_paginator(self, operation: str) -> Table:
        assert operation == "query"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        yield from ({"Items": [{"page": {"N": page}}]} for page in "12")


@pytest.mark.parametrize("resource_type", CONDITIONS)
def test_base_and_parts_are_read_consistently_and_to_the_last_page(resource_type: str) -> None:
    table: Any = Table()
    aggregate = fhir_mappings().aggregate(resource_type)
    items = ItemCollections(table, "records").read(aggregate, "p1", "MEASUREMENT#7")
    assert [
        (one["KeyConditionExpression"], one["ExpressionAttributeValues"][":sk"]["S"]) for one in table.asked
    ] == CONDITIONS[resource_type]
    assert all(one["ConsistentRead"] is True for one in table.asked)
    assert all(one["ExpressionAttributeValues"][":id"] == {"S": "p1"} for one in table.asked)
    assert len(items) == 2 * len(table.asked)
