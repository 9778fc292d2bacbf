"""An account in moto with the hub's bucket, table, queues and bus, for the handlers to run against."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from common import aws_clients
from healthlake_export.settings import ExportSettings, export_settings
from local.moto_dynamodb import atomic_writes

EVENTS = Path(__file__).parents[2] / "events"
REGION = "us-east-1"
DATASTORE_ID = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class HubAccount:
    """What the handlers find in their environment, and the settings they read out of it."""

    settings: ExportSettings

    def messages(self, queue_url: str) -> list[dict[str, Any]]:
        """Bodies of the messages that wait in a queue, delayed ones too; they are taken out of it."""
        sqs = boto3.client("sqs", REGION)
        taken = []
        while received := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in received:
                taken.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return taken


def _environment(start_queue: str, check_queue: str) -> dict[str, str]:
    return {
        "HUB_TABLE": "hub",
        "HUB_BUCKET": "hub-bucket",
        "EVENT_BUS": "hub-events",
        "DATASTORE_ID": DATASTORE_ID,
        "DATA_ACCESS_ROLE_ARN": "arn:aws:iam::123456789012:role/data-access",
        "KMS_KEY_ARN": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
        "START_QUEUE_URL": start_queue,
        "CHECK_QUEUE_URL": check_queue,
        "OVERLAP_SECONDS": "120",
        "RANGE_SIZE_MEGABYTES": "1",
        "MAX_CONCURRENCY": "20",
        "MAX_INLINE_BYTES": "204800",
        "CHANGE_EVENTS": "resource",
        "FULL_RUN_EVENTS": "on",
        "ON_EXPORT_ERRORS": "advance",
        "MAX_EXPORT_HOURS": "12",
        "FIRST_CHECK_DELAY_SECONDS": "15",
        "MAX_CHECK_DELAY_SECONDS": "300",
        "START_EXPIRY_SECONDS": "90",
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubAccount]:
    """The account, made anew for each test, with the environment that the template gives functions."""
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws(), atomic_writes():
        boto3.client("s3", REGION).create_bucket(Bucket="hub-bucket")
        boto3.client("events", REGION).create_event_bus(Name="hub-events")
        boto3.client("dynamodb", REGION).create_table(
            TableName="hub",
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
        queues = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("start", "check")]
        for name, value in _environment(*queues).items():
            monkeypatch.setenv(name, value)
        _forget()
        yield HubAccount(export_settings())
        _forget()


def _forget() -> None:
    aws_clients.forget_clients()
    export_settings.cache_clear()


@pytest.fixture
def sample_event() -> Callable[[str], Any]:
    """Reads a file below events/, named without its ending."""
    return lambda name: json.loads((EVENTS / f"{name}.json").read_text())


@pytest.fixture
def lambda_context() -> Any:
    """What Lambda hands a handler beside the event."""
    return SimpleNamespace(
        function_name="function",
        memory_limit_in_mb=256,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:function",
        aws_request_id="00000000-0000-0000-0000-000000000001",
        get_remaining_time_in_millis=lambda: 60_000,
    )
