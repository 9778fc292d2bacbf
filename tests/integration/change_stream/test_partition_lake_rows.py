"""The transformation of rows against buckets and streams of a mocked account."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from change_stream.lake_settings import lake_settings
from change_stream.partition_lake_rows import lambda_handler
from common import aws_clients
from local.testing.mocked_hub import BUCKET, CREDENTIALS, REGION, create_hub_resources, hub_environment
from local.testing.sample_events import sample


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        for name, value in hub_environment(create_hub_resources()).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LAKE_FIRST_DAY", "2026-11-01")
        aws_clients.forget_clients()
        lake_settings.cache_clear()
        yield
        lake_settings.cache_clear()
    aws_clients.forget_clients()


def test_every_record_of_the_sample_batch_has_its_answer(lambda_context: Any) -> None:
    event = sample("change_stream/firehose_batch")
    (large,) = [one for one in event["records"] if b"reference" in base64.b64decode(one["data"])]
    named = json.loads(base64.b64decode(large["data"]))["reference"]
    row = json.loads(base64.b64decode(event["records"][0]["data"]))
    row["item"] = json.dumps({"note": "x" * (named["length"] - len(json.dumps(row | {"item": ""})) - 17)})
    text = json.dumps(row).encode().ljust(named["length"])
    boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key=named["key"], Body=text)

    answers = lambda_handler(event, lambda_context)["records"]

    assert [one["recordId"] for one in answers] == [one["recordId"] for one in event["records"]]
    assert [one["result"] for one in answers] == ["Ok", "Ok", "Ok", "Ok", "ProcessingFailed"]
    assert base64.b64decode(answers[3]["data"]) == text + b"\n"


def test_a_reference_to_another_place_is_not_followed(lambda_context: Any) -> None:
    event = sample("change_stream/firehose_batch")
    wanted = {"reference": {"bucket": BUCKET, "key": "exports/secret.ndjson", "length": 3}}
    boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key="exports/secret.ndjson", Body=b"abc")
    event["records"] = event["records"][:1]
    event["records"][0]["data"] = base64.b64encode(json.dumps(wanted).encode()).decode()

    (answer,) = lambda_handler(event, lambda_context)["records"]

    assert answer["result"] == "ProcessingFailed"
