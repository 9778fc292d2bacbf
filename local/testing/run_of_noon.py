"""The run that the sample events tell of, in a mocked account: its exported object, its lock, and what the
run before left."""

from __future__ import annotations

from typing import Any

import boto3

from healthlake_export.change_events import event_id
from healthlake_export.ledger import Ledger
from healthlake_export.resource_keys import Meta, ResourceKeys
from healthlake_export.run_context import RunContext
from local.testing.mocked_hub import REGION

BUCKET = "hub-bucket"
STORE = "0123456789abcdef0123456789abcdef"
JOB = "3ed7f6b8cd1a4d0e9c5f2b7a6e8d9c01"
PREFIX = f"exports/run-of-noon/{STORE}-FHIR_EXPORT-{JOB}/"
PATIENTS_KEY = f"{PREFIX}Patient/Patient-0-0-0.ndjson"
PATIENTS = (
    b'{"resourceType":"Patient","id":"synthetic-1","meta":{"versionId":"2",'
    b'"lastUpdated":"2026-03-01T11:58:30.000Z"},"name":[{"family":"Example"}]}\n'
    b'{"resourceType":"Patient","id":"synthetic-2","meta":{"versionId":"1",'
    b'"lastUpdated":"2026-03-01T11:59:30.000Z"},"name":[{"family":"Sample"}]}\n'
    b'{"resourceType":"Patient","id":"synthetic-3","name":[{"family":"Cut\n'
)
CUT_LINE_AT = PATIENTS.index(b'{"resourceType":"Patient","id":"synthetic-3"')
FIRST_ID = event_id(STORE, ResourceKeys("Patient", "synthetic-1", Meta("2")), b"")
SECOND_ID = event_id(STORE, ResourceKeys("Patient", "synthetic-2", Meta("1")), b"")


def put(key: str, content: bytes) -> None:
    boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key=key, Body=content)


def read(key: str) -> bytes:
    content: bytes = boto3.client("s3", REGION).get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


def keys_under(prefix: str) -> list[str]:
    listed = boto3.client("s3", REGION).list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def give_lock_to(owner: str) -> None:
    boto3.client("dynamodb", REGION).put_item(
        TableName="hub",
        Item={"pk": {"S": f"DATASTORE#{STORE}"}, "sk": {"S": "STATE"}, "owner": {"S": owner}},
    )


def ledger_of(event: dict[str, Any]) -> Ledger:
    return Ledger(boto3.client("dynamodb", REGION), "hub", RunContext.from_state(event["run"]))


def prepare_range(event: dict[str, Any]) -> dict[str, Any]:
    """Put what the event of the sample range speaks of into the account, and return the event."""
    put(PATIENTS_KEY, PATIENTS)
    put("runs/run-before-noon/published-ids.bin", FIRST_ID)
    give_lock_to(event["run"]["executionArn"])
    return event
