"""Queue and bucket in moto, and the function that detects transitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from local.testing.jobs_table import create_jobs_queue
from local.testing.mocked_hub import BUCKET, REGION
from transitions import detect_transitions
from transitions.settings import transition_settings


@dataclass(frozen=True)
class Transitions:
    """The function and what it sent."""

    queue_url: str
    context: Any

    def give(self, *records: Any) -> Any:
        return detect_transitions.lambda_handler({"Records": list(records)}, self.context)

    def messages(self) -> list[dict[str, Any]]:
        """What waits in the queue, in its order, taken out of it."""
        sqs = boto3.client("sqs", REGION)
        taken: list[dict[str, Any]] = []
        while found := sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
        ).get("Messages"):
            for one in found:
                taken.append({**json.loads(one["Body"]), "group": one["Attributes"]["MessageGroupId"]})
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=one["ReceiptHandle"])
        return taken

    def objects(self) -> dict[str, Any]:
        """What was written below transitions/, by key."""
        s3 = boto3.client("s3", REGION)
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="transitions/").get("Contents", [])
        return {one["Key"]: json.load(s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"]) for one in listed}


@pytest.fixture
def transitions(hub: Any, monkeypatch: pytest.MonkeyPatch, lambda_context: Any) -> Iterator[Transitions]:
    """The shipped rules, over queue and bucket of the test's own."""
    queue_url = create_jobs_queue()
    monkeypatch.setenv("JOBS_QUEUE_URL", queue_url)
    _forget()
    yield Transitions(queue_url, lambda_context)
    _forget()


def _forget() -> None:
    transition_settings.cache_clear()
    detect_transitions.rules_by_type.cache_clear()
