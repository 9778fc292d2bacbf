"""Objects that ranges read and write, on moto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from healthlake_export.byte_ranges import ExportedObject
from healthlake_export.object_bytes import ObjectBytes
from healthlake_export.published_id_objects import load_ids, merge_range_ids, save_range_ids
from healthlake_export.published_ids import PublishedIds
from local.testing.mocked_hub import REGION
from local.testing.run_of_noon import (
    BUCKET,
    keys_under,
    put,
    read,
)

SampleEvent = Callable[[str], Any]


def test_ids_of_many_ranges_are_merged_block_by_block(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthlake_export.published_id_objects._SMALLEST_BLOCK", 48)
    monkeypatch.setattr("healthlake_export.published_id_objects._MERGE_BYTES", 0)
    s3 = boto3.client("s3", REGION)
    ids = [number.to_bytes(16, "big") for number in range(100)]
    for index in range(5):
        save_range_ids(s3, BUCKET, "run", index, b"".join(ids[index::5]))
    save_range_ids(s3, BUCKET, "run", 5, b"".join(ids[10:20]))
    save_range_ids(s3, BUCKET, "run", 6, b"")
    key = merge_range_ids(s3, BUCKET, "run", range(6))
    assert key == "runs/run/published-ids.bin"
    assert read(key) == b"".join(ids)
    loaded = load_ids(s3, BUCKET, key)
    assert len(loaded) == 100
    assert all(identity in loaded for identity in ids)


def test_a_run_without_ids_leaves_no_object(hub: Any) -> None:
    s3 = boto3.client("s3", REGION)
    save_range_ids(s3, BUCKET, "run", 0, b"")
    assert merge_range_ids(s3, BUCKET, "run", []) is None
    assert keys_under("runs/") == []


def test_ids_that_are_gone_are_none(hub: Any) -> None:
    loaded = load_ids(boto3.client("s3", REGION), BUCKET, "runs/gone/published-ids.bin")
    assert isinstance(loaded, PublishedIds)
    assert len(loaded) == 0


def test_bytes_are_copied_within_s3(hub: Any) -> None:
    s3 = boto3.client("s3", REGION)
    content = bytes(range(256)) * 30_000
    put("exports/large", content)
    etag = s3.head_object(Bucket=BUCKET, Key="exports/large")["ETag"]
    source = ObjectBytes(s3, BUCKET, ExportedObject("exports/large", len(content), etag))
    source.copy(1_000, 6_000_000, "quarantine/copy.raw")
    assert read("quarantine/copy.raw") == content[1_000:6_001_000]
