"""Exports whose content a test decides: HealthLake's file is replaced before its byte ranges are planned."""

from __future__ import annotations

from typing import Any

import boto3

from local.testing.export_hub import ExportHub
from local.testing.mocked_hub import BUCKET, REGION


def export_instead(hub: ExportHub, content: bytes, resource_type: str = "") -> None:
    """Let the first file (of a resource type, if given) of every export from now on have this content. The
    datastore has to hold something to export."""
    plan = hub.bench.functions["PlanRangesFunction"]

    def replace_first(event: Any, context: Any) -> Any:
        keys = exported_keys(event["run"]["runId"])
        put_export(next(key for key in keys if f"/{resource_type}" in key), content)
        return plan(event, context)

    hub.bench.functions["PlanRangesFunction"] = replace_first


def exported_keys(run_id: str) -> list[str]:
    """Keys of the files that a run has exported."""
    listed = boto3.client("s3", REGION).list_objects_v2(Bucket=BUCKET, Prefix=f"exports/{run_id}/")
    return [entry["Key"] for entry in listed.get("Contents", [])]


def put_export(key: str, content: bytes) -> None:
    """Write an exported file, over the one that is there."""
    boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key=key, Body=content)


def read_object(key: str) -> bytes:
    """An object of the hub's bucket."""
    return boto3.client("s3", REGION).get_object(Bucket=BUCKET, Key=key)["Body"].read()
