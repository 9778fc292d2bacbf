"""The functions of the FHIR writer with mocked tables, queues and bucket, and a real HealthLake server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3

from common import aws_clients
from fhir_writer import queue_fhir_writes, write_fhir
from fhir_writer.settings import queue_settings, writer_settings
from fhir_writer.write_messages import FhirWrite
from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import EXAMPLE_CREDENTIALS, FhirClient
from local.testing.mocked_hub import BUCKET, REGION

RECORDS = "records"

SIGNING = {
    # What moto puts in place of credentials.
    "FOOBARKEY": "FOOBARSECRET",
    EXAMPLE_CREDENTIALS.access_key: EXAMPLE_CREDENTIALS.secret_key,
}
"""Secrets by access key id, with which the server recomputes signatures."""


class _Context:
    function_name = "WriteFhirFunction"
    aws_request_id = "8f7a2c1e-0000-4000-8000-000000000000"

    def __init__(self, seconds_left: float) -> None:
        self._seconds_left = seconds_left

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds_left * 1000)


def context(seconds_left: float = 60.0) -> Any:
    """What Lambda tells a function of its call."""
    return _Context(seconds_left)


@dataclass
class WriterHub:
    """Records, the writer's functions, and HealthLake. Changes are given to the functions by the test."""

    server: HealthLakeServer
    fhir: FhirClient
    queue_url: str
    sequence: int = 10**26
    stream: str = "2026-11-20T09:00:00.000"

    def put(self, item_type: str, sk: str, resource: tuple[str, str], **attributes: Any) -> FhirWrite:
        """Write an item of person p1, as DynamoDB attribute values; returns the change that follows."""
        item = {"id": {"S": "p1"}, "sk": {"S": sk}, "itemType": {"S": item_type}, **attributes}
        boto3.client("dynamodb", REGION).put_item(TableName=RECORDS, Item=item)
        return self._changed(item_type, sk, resource)

    def remove(self, item_type: str, sk: str, resource: tuple[str, str]) -> FhirWrite:
        """Remove an item of person p1; returns the change that follows."""
        key = {"id": {"S": "p1"}, "sk": {"S": sk}}
        boto3.client("dynamodb", REGION).delete_item(TableName=RECORDS, Key=key)
        return self._changed(item_type, sk, resource)

    def write(self, *changes: FhirWrite, seconds_left: float = 60.0, delivered: int = 1) -> list[int]:
        """Give changes to the writer as one batch; returns the places of those that are left in the queue."""
        records = [fifo_record(str(place), change, delivered) for place, change in enumerate(changes)]
        answer = write_fhir.lambda_handler({"Records": records}, context(seconds_left))
        return [int(one["itemIdentifier"]) for one in answer["batchItemFailures"]]

    def queue(self, *events: Mapping[str, Any]) -> dict[str, Any]:
        """Give events of the bus to a consumer as one batch; returns its answer."""
        records = [{"messageId": str(place), "body": json.dumps(one)} for place, one in enumerate(events)]
        answer: dict[str, Any] = queue_fhir_writes.lambda_handler({"Records": records}, context())
        return answer

    def queued(self) -> list[dict[str, Any]]:
        """The messages in the writer's queue, with their attributes; they are taken out of it."""
        sqs = boto3.client("sqs", REGION)
        found = []
        while received := sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
        ).get("Messages"):
            for message in received:
                found.append(
                    {**json.loads(message["Body"]), "group": message["Attributes"]["MessageGroupId"]}
                )
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def quarantined(self) -> list[dict[str, Any]]:
        """What lies in quarantine."""
        s3 = boto3.client("s3", REGION)
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="quarantine/fhir-writes/").get("Contents", [])
        return [
            {"key": one["Key"], **json.loads(s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read())}
            for one in listed
        ]

    def state(self) -> list[dict[str, Any]]:
        """The items in which the hub keeps what it has applied."""
        items = boto3.client("dynamodb", REGION).scan(TableName="hub")["Items"]
        return [item for item in items if item["pk"]["S"].startswith("FHIR#")]

    def _changed(self, item_type: str, sk: str, resource: tuple[str, str]) -> FhirWrite:
        self.sequence += 1
        sequence = str(self.sequence)
        return FhirWrite(f"event-{sequence}", item_type, "p1", sk, self.stream, sequence, *resource)


def fifo_record(message_id: str, change: FhirWrite, delivered: int = 1) -> dict[str, Any]:
    """A message of the writer's queue, as Lambda gets it."""
    attributes = {
        "MessageGroupId": change.resource.digest,
        "MessageDeduplicationId": change.event_id,
        "ApproximateReceiveCount": str(delivered),
    }
    return {"messageId": message_id, "body": change.body(), "attributes": attributes}


def create_records_table() -> None:
    """Create the table of records in the account that moto mocks now."""
    keys = {"id": "HASH", "sk": "RANGE"}
    boto3.client("dynamodb", REGION).create_table(
        TableName=RECORDS,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],  # type: ignore[typeddict-item]
    )


@contextmanager
def writer_hub(server: HealthLakeServer) -> Iterator[WriterHub]:
    """The hub, in the account that moto mocks now, with the environment that the template gives functions and
    a datastore of its own."""
    create_records_table()
    queue_url = boto3.client("sqs", REGION).create_queue(
        QueueName="writes.fifo", Attributes={"FifoQueue": "true"}
    )["QueueUrl"]
    datastore = server.create_datastore()
    variables = {
        "RECORDS_TABLE": RECORDS,
        "CLAIM_SECONDS": "90",
        "FHIR_WRITES": "on",
        "FHIR_WRITES_QUEUE_URL": queue_url,
        "DATASTORE_ID": datastore.datastore_id,
        "AWS_ENDPOINT_URL_HEALTHLAKE": server.url,
    }
    with patch.dict(os.environ, variables):
        _forget()
        yield WriterHub(server, server.client(datastore), queue_url)
        _forget()
    server.faults.clear()


def _forget() -> None:
    aws_clients.forget_clients()
    queue_settings.cache_clear()
    writer_settings.cache_clear()
