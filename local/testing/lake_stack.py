"""The lake's part of the template in an account of its own, and files in it as runs write them.

CloudFormation of the local account makes the buckets, the tables, the view and the workgroup out of the
template itself; what takes long and what they do not need (datastore, functions, workflow) is left out.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from lake.fhir_files import file_key
from lake.fhir_schema import fhir_schema
from lake.parquet_files import open_writer
from local.account.clients import client
from local.account.state_file import RunningAccount
from local.cli.operations.hub import DeployedHub
from local.cli.project import Project
from local.cli.stack import outputs
from local.testing.template_reader import read, references

STACK = "lake"
DAY = "2026-11-20"
_KEPT = (
    "LakeBucket",
    "QueryResultsBucket",
    "LakeDatabase",
    "FhirTable",
    "FhirCurrentView",
    "FhirLatestTable",
    "RecordsLakeTable",
    "RecordsCurrentView",
    "LakeWorkGroup",
    "LakeReaderPolicy",
)


@dataclass(frozen=True)
class Version:
    """A version of a resource, as a row of the lake; `text` is the resource."""

    id: str
    version: str | None = "1"
    updated: str | None = "2026-11-20T12:00:00Z"
    patients: tuple[str, ...] = ()
    text: str = "{}"


def deploy_lake(account: RunningAccount, *, scan_limit_bytes: int | None = None) -> DeployedHub:
    """The hub's lake, deployed; with a limit of a workgroup that is smaller than the template can say."""
    document = _template()
    if scan_limit_bytes is not None:
        configuration = document["Resources"]["LakeWorkGroup"]["Properties"]["WorkGroupConfiguration"]
        configuration["BytesScannedCutoffPerQuery"] = scan_limit_bytes
    cloudformation = client(account, "cloudformation")
    cloudformation.create_stack(
        StackName=STACK, TemplateBody=json.dumps(document), Capabilities=["CAPABILITY_IAM"]
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    return DeployedHub(account, STACK, outputs(account, STACK))


def _template() -> dict[str, Any]:
    whole = read(Project().root / "template.yaml")
    resources = {name: whole["Resources"][name] for name in _KEPT}
    resources["HubKey"] = {"Type": "AWS::KMS::Key", "Properties": {"Description": "of the lake"}}
    there = {*resources, *whole["Parameters"]}
    return {
        "Parameters": whole["Parameters"],
        "Conditions": whole["Conditions"],
        "Resources": resources,
        "Outputs": {
            name: output for name, output in whole["Outputs"].items() if references(output["Value"]) <= there
        },
    }


def parquet(versions: Iterable[Version], run: str = "run-1", datastore: str = "d") -> bytes:
    """A file with the versions, as the range function writes it."""
    rows = [
        {
            "id": one.id,
            "version_id": one.version,
            "last_updated": None if one.updated is None else datetime.fromisoformat(one.updated),
            "patient_ids": list(one.patients),
            "datastore_id": datastore,
            "run_id": run,
            "resource": one.text,
        }
        for one in versions
    ]
    sink = io.BytesIO()
    with open_writer(sink, fhir_schema()) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=fhir_schema()))
    return sink.getvalue()


def write_versions(
    hub: DeployedHub, kind: str, versions: Iterable[Version], *, run: str = "run-1", day: str = DAY
) -> str:
    """Put a file with the versions where a run would; returns its key."""
    key = file_key(kind, day, run, 0)
    hub.client("s3").put_object(Bucket=hub.outputs["LakeBucketName"], Key=key, Body=parquet(versions, run))
    return key


def objects(hub: DeployedHub, prefix: str) -> Mapping[str, int]:
    """Sizes of the lake's objects below a prefix, by key."""
    listed = hub.client("s3").list_objects_v2(Bucket=hub.outputs["LakeBucketName"], Prefix=prefix)
    return {one["Key"]: one["Size"] for one in listed.get("Contents", [])}
