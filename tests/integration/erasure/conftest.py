"""A hub's buckets with versions, filled by hand, and an erasure of one patient from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from healthlake_export.compartment_keys import KeyReader
from healthlake_export.lake_files import fhir_rows
from healthlake_export.resource_keys import ResourceKeys
from lake.parquet_files import open_writer
from local.erasure.erasure import Erasure, Ground
from local.erasure.findings import PassResult
from local.erasure.stack_buckets import StackBuckets, StackResource
from local.erasure.sweep import Sweep
from local.testing.mocked_hub import BUCKET, DATASTORE_ID, LAKE_BUCKET, REGION, TABLE

PATIENT = "p-1"
RESULTS = "hub-results"
RESOURCES = (
    StackResource("HubBucket", "AWS::S3::Bucket", BUCKET),
    StackResource("LakeBucket", "AWS::S3::Bucket", LAKE_BUCKET),
    StackResource("QueryResultsBucket", "AWS::S3::Bucket", RESULTS),
    StackResource("HubTable", "AWS::DynamoDB::Table", TABLE),
)


def resource(resource_type: str, resource_id: str, patient: str | None = None, **members: Any) -> bytes:
    """A line of an export."""
    named = {"subject": {"reference": f"Patient/{patient}"}} if patient else {}
    meta = {"versionId": "1", "lastUpdated": "2026-03-01T12:00:00Z"}
    return json.dumps(
        {"resourceType": resource_type, "id": resource_id, "meta": meta, **named, **members}
    ).encode()


def parquet(lines: Sequence[bytes], rows_in_a_group: int = 3) -> bytes:
    """A file of the lake with these resources."""
    reader, sink = KeyReader(), pa.BufferOutputStream()
    keys = [key for key in map(reader.read, lines) if isinstance(key, ResourceKeys)]
    assert len(keys) == len(lines)
    table = fhir_rows(lines, keys).table(DATASTORE_ID, "run-1")
    with open_writer(sink, table.schema) as writer:
        for start in range(0, len(lines), rows_in_a_group):
            writer.write_table(table.slice(start, rows_in_a_group))
    return bytes(sink.getvalue())


class Nobody:
    """Services where nothing is under way."""

    def list_fhir_export_jobs(self, **_: Any) -> Any:
        return {"ExportJobPropertiesList": []}

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        return iter(())


@dataclass
class ShownStep:
    """A step as it was shown."""

    name: str
    result: str = ""
    failed: bool = False
    texts: list[str] = field(default_factory=list)

    def progress(self, text: str) -> None:
        self.texts.append(text)


@dataclass
class Buckets:
    """The hub's buckets, with what tests ask of them."""

    s3: Any
    steps: list[ShownStep] = field(default_factory=list)

    def put(self, bucket: str, key: str, *contents: bytes) -> None:
        """Write an object, once for each content."""
        for content in contents:
            self.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def read(self, bucket: str, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def rows(self, key: str) -> Any:
        """The table in a file of the lake."""
        return pq.read_table(pa.BufferReader(self.read(LAKE_BUCKET, key)))

    def everything(self) -> dict[tuple[str, str, str], bytes | None]:
        """Every version of every object by bucket, key and version; None of a delete marker."""
        found: dict[tuple[str, str, str], bytes | None] = {}
        for bucket in (BUCKET, LAKE_BUCKET, RESULTS):
            listed = self.s3.list_object_versions(Bucket=bucket)
            for one in listed.get("Versions", []):
                which = {"Key": one["Key"], "VersionId": one["VersionId"]}
                body = self.s3.get_object(Bucket=bucket, **which)["Body"].read()
                found[bucket, one["Key"], one["VersionId"]] = body
            for one in listed.get("DeleteMarkers", []):
                found[bucket, one["Key"], one["VersionId"]] = None
        return found

    def versioned_keys(self) -> list[tuple[str, str]]:
        """Bucket and key of every version and marker."""
        return [(bucket, key) for bucket, key, _ in self.everything()]

    def sweep(self, patient: str = PATIENT, *, erase: bool = True) -> PassResult:
        """One pass over the buckets."""
        return Sweep(self.s3, StackBuckets.among(RESOURCES), patient, erase).run(lambda _: None)

    def erasure(self, patient: str = PATIENT, **changes: Any) -> Erasure:
        """An erasure that has nobody to wait for unless `changes` bring some."""
        services = {
            "s3": self.s3,
            "dynamodb": boto3.client("dynamodb", REGION),
            **changes.pop("services", {}),
        }
        machine = f"arn:aws:states:{REGION}:123456789012:stateMachine:hub-export"
        resources = changes.pop("resources", RESOURCES)
        ground = Ground(
            lambda service: services.get(service, Nobody()), TABLE, DATASTORE_ID, machine, resources
        )
        given: dict[str, Any] = {"erasure_id": "1", "started_by": "me", "sleep": _no_sleep, **changes}
        return Erasure(ground, patient, steps=self._step, **given)

    @contextmanager
    def _step(self, name: str) -> Iterator[ShownStep]:
        self.steps.append(ShownStep(name))
        yield self.steps[-1]


def _no_sleep(_: float) -> None:
    raise AssertionError("there is nothing to wait for")


@pytest.fixture
def buckets(hub: Any) -> Buckets:
    """The hub's buckets, with versions as the template has them."""
    assert hub
    s3 = boto3.client("s3", REGION)
    s3.create_bucket(Bucket=RESULTS)
    for bucket in (BUCKET, LAKE_BUCKET, RESULTS):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return Buckets(s3)


@pytest.fixture
def line() -> Callable[..., bytes]:
    """Makes a line of an export: type, id, patient, and other members."""
    return resource


@pytest.fixture
def lake_file() -> Callable[..., bytes]:
    """Makes a file of the lake out of lines."""
    return parquet
