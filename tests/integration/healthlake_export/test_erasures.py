"""The entries of erased patients, as a range reads them."""

from __future__ import annotations

from typing import Any

from common import aws_clients
from healthlake_export import erasures
from healthlake_export.table_keys import erasure_key


def enter(hub: Any, datastore_id: str, *patient_ids: str) -> None:
    for patient_id in patient_ids:
        item = {**erasure_key(datastore_id, patient_id), "erasedAt": {"S": "2026-03-01T12:00:00.000Z"}}
        aws_clients.dynamodb().put_item(TableName=hub.settings.table, Item=item)


def test_nobody_was_erased_from_a_table_without_entries(hub: Any) -> None:
    assert erasures.read(aws_clients.dynamodb(), hub.settings.table, hub.settings.datastore_id) == frozenset()


def test_whoever_was_erased_from_this_datastore_is_read(hub: Any) -> None:
    many = [f"p-{number:04d}" for number in range(60)]
    enter(hub, hub.settings.datastore_id, *many)
    enter(hub, "f" * 32, "of-another-datastore")

    found = erasures.read(aws_clients.dynamodb(), hub.settings.table, hub.settings.datastore_id)

    assert found == frozenset(many)
