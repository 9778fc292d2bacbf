"""The records table and the hub's bucket in a mocked account, for the enrichments of both pipes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from change_stream.settings import change_stream_settings
from local.testing.change_records import Item
from local.testing.mocked_hub import BUCKET, REGION

RECORDS_TABLE = "hub-records"


@dataclass(frozen=True)
class Records:
    """The table, and the objects that the enrichments write."""

    table: str = RECORDS_TABLE

    def put(self, *items: Item) -> None:
        client = boto3.client("dynamodb", REGION)
        for one in items:
            client.put_item(TableName=self.table, Item=one)

    def objects(self) -> dict[str, Any]:
        """Every object below its key, read as JSON."""
        s3 = boto3.client("s3", REGION)
        listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return {
            one["Key"]: json.loads(s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read())
            for one in listed
        }


@pytest.fixture
def records(hub: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    """The account of `hub` with the records table, which the functions find in their environment."""
    boto3.client("dynamodb", REGION).create_table(
        TableName=RECORDS_TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )
    monkeypatch.setenv("RECORDS_TABLE", RECORDS_TABLE)
    change_stream_settings.cache_clear()
    yield Records()
    change_stream_settings.cache_clear()
