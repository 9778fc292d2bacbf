"""The hub's own resources in a mocked AWS account, and the environment its functions find there.

Used by tests of handlers and of workflows, which run in moto and without a deployed template. A template
test holds the variables here against those that the template sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import boto3

REGION = "us-east-1"
ACCOUNT = "123456789012"
DATASTORE_ID = "0123456789abcdef0123456789abcdef"
BUCKET = "hub-bucket"
LAKE_BUCKET = "hub-lake"
TABLE = "hub"
BUS = "hub-events"
STACK = "hub"

CREDENTIALS: Mapping[str, str] = MappingProxyType(
    {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
)


OWN_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "RECORDS_TABLE": "records",
        "LAKE_FIRST_DAY": "2026-11-01",
        "FHIR_WRITES": "on",
        "FHIR_WRITES_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/writes.fifo",
        "CLAIM_SECONDS": "90",
        "JOBS_TABLE": "jobs",
        "JOBS_QUEUE_URL": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/jobs.fifo",
        "MAX_UPLOAD_MEGABYTES": "1024",
    }
)
"""What functions have in their environment beside that of all."""


@dataclass(frozen=True)
class HubQueues:
    """URLs of the hub's queues."""

    start: str
    check: str


def create_hub_resources() -> HubQueues:
    """Create buckets, table, bus and queues in the account that moto mocks now."""
    for bucket in (BUCKET, LAKE_BUCKET):
        boto3.client("s3", REGION).create_bucket(Bucket=bucket)
    boto3.client("events", REGION).create_event_bus(Name=BUS)
    boto3.client("dynamodb", REGION).create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )
    sqs = boto3.client("sqs", REGION)
    return HubQueues(*(sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("start", "check")))


def hub_environment(queues: HubQueues, datastore_id: str = DATASTORE_ID) -> dict[str, str]:
    """The environment of the hub's functions, with the template's defaults but small ranges."""
    return {
        "HUB_TABLE": TABLE,
        "HUB_BUCKET": BUCKET,
        "LAKE_BUCKET": LAKE_BUCKET,
        "EVENT_BUS": BUS,
        "DATASTORE_ID": datastore_id,
        "DATA_ACCESS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/data-access",
        "KMS_KEY_ARN": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000",
        "START_QUEUE_URL": queues.start,
        "CHECK_QUEUE_URL": queues.check,
        "OVERLAP_SECONDS": "120",
        "RANGE_SIZE_MEGABYTES": "1",
        "MAX_CONCURRENCY": "20",
        "MAX_INLINE_BYTES": "204800",
        "CHANGE_EVENTS": "resource",
        "MAX_EVENTS_PER_RUN": "1000000",
        "FULL_RUN_EVENTS": "on",
        "ON_EXPORT_ERRORS": "advance",
        "MAX_EXPORT_HOURS": "12",
        "FIRST_CHECK_DELAY_SECONDS": "15",
        "MAX_CHECK_DELAY_SECONDS": "300",
        "START_EXPIRY_SECONDS": "90",
        "STACK_NAME": STACK,
        "MAX_REDRIVES": "3",
        "REDRIVE_MESSAGES_PER_SECOND": "50",
        "REDRIVE_COOL_DOWN_HOURS": "672",
        "QUARANTINE_DEAD_LETTERS_AFTER_DAYS": "10",
    }
