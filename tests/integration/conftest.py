"""An account in moto with the hub's bucket, table, queues and bus, for the handlers to run against."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from common import aws_clients, observability
from healthlake_export.settings import ExportSettings, export_settings
from local.testing.mocked_hub import CREDENTIALS, REGION, create_hub_resources, hub_environment
from local.testing.moto_dynamodb import atomic_writes

EVENTS = Path(__file__).parents[2] / "events"


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


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubAccount]:
    """The account, made anew for each test, with the environment that the template gives functions."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws(), atomic_writes():
        for name, value in hub_environment(create_hub_resources()).items():
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
def fresh_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A logger of the test's own, which writes to its output."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"test-{id(monkeypatch)}")
    observability.logger.cache_clear()
    yield
    observability.logger.cache_clear()
