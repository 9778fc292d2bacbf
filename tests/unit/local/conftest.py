"""A hub as an operator's commands find it: table and bucket in moto, executions as told to a fake."""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from common.table_values import attributes
from healthlake_export.byte_ranges import ByteRange
from healthlake_export.ledger import LedgerItem
from healthlake_export.table_keys import ledger_key, run_key
from lake.fhir_files import export_date, file_key
from lake.fhir_schema import FhirRows, fhir_schema
from lake.parquet_files import open_writer
from local.cli.accounts import AwsAccount
from local.cli.operations.hub import DeployedHub
from local.testing.mocked_hub import BUCKET, DATASTORE_ID, LAKE_BUCKET, REGION, TABLE
from local.testing.range_lab import accounted

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STARTED_AT = "2026-03-01T12:00:00.000Z"
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:hub-export"
LINES = (b'{"id":"a"}\n', b'{"id":"b"}\n', b'{"id":"c"}\n')


@dataclass
class FakeStates:
    """Step Functions with executions that only say how they ended, and their histories."""

    executions: list[dict[str, Any]] = field(default_factory=list)
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    described: list[str] = field(default_factory=list)

    def add(self, name: str, status: str = "SUCCEEDED", minute: int = 0, **more: Any) -> str:
        """An execution that began so many minutes past noon and took ten seconds; returns its ARN."""
        started = NOON + timedelta(minutes=minute)
        arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"
        execution = {"executionArn": arn, "name": name, "status": status, "startDate": started, **more}
        if status != "RUNNING":
            execution["stopDate"] = started + timedelta(seconds=10)
        self.executions.append(execution)
        return arn

    def tell(self, arn: str, *events: tuple[str, Mapping[str, str]]) -> None:
        """The history of an execution: types of events with their details, a second apart."""
        self.histories[arn] = [
            {"type": kind, "timestamp": NOON + timedelta(seconds=second), "someEventDetails": details}
            for second, (kind, details) in enumerate(events)
        ]

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        self.described.append(executionArn)
        for execution in self.executions:
            if execution["executionArn"] == executionArn:
                return execution
        raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": "no"}}, "DescribeExecution")

    def get_paginator(self, operation: str) -> Any:
        return _Pages(self, operation)


@dataclass
class _Pages:
    states: FakeStates
    operation: str

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        if self.operation == "get_execution_history":
            yield {"events": self.states.histories.get(asked["executionArn"], [])}
            return
        newest = sorted(self.states.executions, key=lambda one: one["startDate"], reverse=True)
        wanted = [one for one in newest if asked.get("statusFilter") in (None, one["status"])]
        shown = ("executionArn", "name", "status", "startDate", "stopDate")
        page = [{name: one[name] for name in shown if name in one} for one in wanted]
        yield {"executions": page[: asked["PaginationConfig"].get("MaxItems")]}


@cache
def _session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)


@cache
def _client(service: str) -> Any:
    """Made once for all tests: making one takes longer than a test."""
    return _session().client(service)  # type: ignore[call-overload]


class _Account(AwsAccount):
    def __init__(self, states: FakeStates) -> None:
        super().__init__(_session(), "123456789012", "arn:aws:iam::123456789012:user/operator")
        self.states = states

    def client(self, service: str) -> Any:
        return self.states if service == "stepfunctions" else _client(service)


@pytest.fixture
def states() -> FakeStates:
    return FakeStates()


@pytest.fixture
def hub(states: FakeStates, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployedHub]:
    """A hub with nothing in it."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    outputs = {
        "ExportStateMachineArn": MACHINE,
        "HubTableName": TABLE,
        "HubBucketName": BUCKET,
        "LakeBucketName": LAKE_BUCKET,
        "DatastoreId": DATASTORE_ID,
    }
    with mock_aws():
        for bucket in (BUCKET, LAKE_BUCKET):
            _client("s3").create_bucket(Bucket=bucket)
        keys = {"pk": "HASH", "sk": "RANGE"}
        _client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        )
        yield DeployedHub(_Account(states), "hub", outputs)


@dataclass(frozen=True)
class Written:
    """Writes what runs leave."""

    hub: DeployedHub

    def audit(self, run_id: str, **facts: Any) -> None:
        """The audit item of a run, which completed unless `facts` say otherwise."""
        item = {
            "runId": run_id,
            "status": "COMPLETED",
            "mode": "full",
            "startedBy": "schedule",
            "startedAt": STARTED_AT,
            **facts,
        }
        self._put({**run_key(run_id), **attributes(item)})

    def ledger(self, run_id: str, item: LedgerItem) -> None:
        self._put({**ledger_key(run_id, item.index), **item.to_item()})

    def item(self, key: Mapping[str, Any], **facts: Any) -> None:
        self._put({**key, **attributes(facts)})

    def object(self, key: str, content: bytes) -> str:
        """An object of the hub's bucket; returns its ETag."""
        etag: str = self.hub.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)["ETag"]
        return etag

    def lake_file(self, run_id: str, index: int, rows: int) -> None:
        """A file of the lake with so many rows of patients."""
        texts = [b'{"resourceType":"Patient"}'] * rows
        columns = FhirRows(["p"] * rows, ["1"] * rows, [None] * rows, [], array("i", [0] * (rows + 1)), texts)
        content = io.BytesIO()
        with open_writer(content, fhir_schema()) as writer:
            writer.write_table(columns.table(DATASTORE_ID, run_id))
        key = file_key("Patient", export_date(STARTED_AT), run_id, index)
        self.hub.client("s3").put_object(Bucket=LAKE_BUCKET, Key=key, Body=content.getvalue())

    def run(self, run_id: str = "run", lines: Sequence[bytes] = LINES) -> list[LedgerItem]:
        """A completed run of one file in two ranges, the first of which has all lines but the last."""
        key, content = f"exports/{run_id}/Patient/Patient-0.ndjson", b"".join(lines)
        etag = self.object(key, content)
        cut = len(content) - len(lines[-1])
        ranges = [
            ByteRange(0, key, len(content), etag, 0, cut, "Patient"),
            ByteRange(1, key, len(content), etag, cut, len(content), "Patient"),
        ]
        items = [accounted(ranges[0], len(lines) - 1), accounted(ranges[1], 1)]
        plan = json.dumps([piece.to_item() for piece in ranges]).encode()
        self.object(f"runs/{run_id}/ranges.json", plan)
        for item in items:
            self.ledger(run_id, item)
            self.lake_file(run_id, item.index, item.rows)
        count = len(lines)
        self.audit(
            run_id,
            **{"files": 1, "ranges": 2, "bytes": len(content), "lines": count, "rows": count},
            **{"published": count, "batched": 0, "repeated": 0, "quarantined": 0, "exportErrors": 0},
        )
        return items

    def _put(self, item: Mapping[str, Any]) -> None:
        self.hub.client("dynamodb").put_item(TableName=TABLE, Item=item)


@pytest.fixture
def written(hub: DeployedHub) -> Written:
    return Written(hub)
