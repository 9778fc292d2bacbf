"""What has to hold of the lake after an episode, whatever has failed in it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import boto3

from local.soak.faults.writer import Name
from local.testing.lake_rows import lake_rows
from local.testing.mocked_hub import LAKE_BUCKET, REGION


def lake_problems(
    versions: Mapping[Name, list[str]], rows_of_completed_runs: Mapping[str, int]
) -> Iterator[str]:
    """Everything that does not hold, one line each: the last version of a resource is missing, a row tells of
    one that never was, a run has one twice, or a completed run has other rows than its audit item says."""
    rows = lake_rows(_objects())
    seen = Counter(_version(row) for row in rows)
    known = {(*name, version) for name, written in versions.items() for version in written}
    for name, written in sorted(versions.items()):
        if (*name, written[-1]) not in seen:
            yield f"version {written[-1]} of {'/'.join(name)} is not in the lake"
    for resource_type, identity, version in seen.keys() - known:
        yield f"the lake has version {version} of {resource_type}/{identity}, which never was"
    for (run_id, row), times in Counter((row["run_id"], _version(row)) for row in rows).items():
        if times > 1:
            yield f"the lake has {'/'.join(map(str, row))} of run {run_id} {times} times"
    by_run = Counter(row["run_id"] for row in rows)
    for run_id, told in rows_of_completed_runs.items():
        if by_run[run_id] != told:
            yield f"run {run_id} says {told} rows, and the lake has {by_run[run_id]} of it"


def _objects() -> dict[str, bytes]:
    bucket = boto3.resource("s3", REGION).Bucket(LAKE_BUCKET)
    return {found.key: found.get()["Body"].read() for found in bucket.objects.all()}


def _version(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["resource_type"], row["id"], row["version_id"]
