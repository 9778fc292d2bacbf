"""The jobs table in moto, and the function that records uploads into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from local.testing.jobs_table import JOBS_TABLE, create_jobs_table
from local.testing.mocked_hub import REGION
from local.testing.upload_notifications import sns_event
from uploads.record_upload import lambda_handler
from uploads.settings import upload_settings

Invoke = Callable[[Any], dict[str, int]]


@dataclass(frozen=True)
class Uploads:
    """The function and what it wrote."""

    context: Any

    def notify(self, *records: dict[str, Any]) -> dict[str, int]:
        """Give the function one message with these records of S3."""
        return self.call(sns_event({"Records": list(records)}))

    def call(self, event: Any) -> dict[str, int]:
        answer: dict[str, int] = lambda_handler(event, self.context)
        return answer

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of the table, their values plain."""
        found = boto3.client("dynamodb", REGION).scan(TableName=JOBS_TABLE)["Items"]
        return [{name: _plain(value) for name, value in one.items()} for one in found]

    @property
    def item(self) -> dict[str, Any]:
        """The only item."""
        (one,) = self.items
        return one


def _plain(value: Any) -> Any:
    ((kind, content),) = value.items()
    return int(content) if kind == "N" else content


@pytest.fixture
def uploads(hub: Any, monkeypatch: pytest.MonkeyPatch, lambda_context: Any) -> Iterator[Uploads]:
    """Uploads of a megabyte at most."""
    create_jobs_table()
    monkeypatch.setenv("JOBS_TABLE", JOBS_TABLE)
    monkeypatch.setenv("MAX_UPLOAD_MEGABYTES", "1")
    upload_settings.cache_clear()
    yield Uploads(lambda_context)
    upload_settings.cache_clear()
