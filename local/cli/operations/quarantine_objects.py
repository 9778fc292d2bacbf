"""The objects under `quarantine/`, and what their records say without their content.

A record's line is PHI. What is decoded here leaves it out; only `quarantine show` and `quarantine save`
take it out of the bucket.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

PREFIX = "quarantine/"
RECORDS = (".ndjson", ".json")
"""Objects of many records, and those that are one: a change of a record, or a write to HealthLake, whole."""

_BEGINNING = "bytes=0-8191"
_is_reason = re.compile(rb'"reason": ?"([A-Z0-9_]{1,60})"').search


@dataclass(frozen=True)
class QuarantineObject:
    """An object under `quarantine/`: a file of records, or one line that is too large for a record."""

    key: str
    size: int
    modified: datetime

    @property
    def run_id(self) -> str:
        return self.key.split("/")[1]

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def has_records(self) -> bool:
        return self.key.endswith(RECORDS)


class _Source(msgspec.Struct):
    key: str
    offset: int
    length: int


class _Record(msgspec.Struct, rename="camel"):
    reason: str
    source: _Source
    raw_key: str | None = None


_decode = msgspec.json.Decoder(_Record).decode


@dataclass(frozen=True)
class QuarantineRecord:
    """Why a line lies in quarantine, and where it came from. `number` counts the records of its object
    from 1, and `raw_key` names the object with the line when it is too large for the record."""

    key: str
    number: int
    reason: str
    file: str
    offset: int
    length: int
    raw_key: str | None

    def document(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "record": self.number,
            "reason": self.reason,
            "file": self.file,
            "offset": self.offset,
            "length": self.length,
            "rawKey": self.raw_key,
        }


def list_quarantine(s3: Any, bucket: str, run_id: str | None = None) -> Iterator[QuarantineObject]:
    """Every object of the run's quarantine, or of every run's, by key."""
    prefix = PREFIX if run_id is None else f"{PREFIX}{run_id}/"
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if entry["Key"].count("/") > 1:
                yield QuarantineObject(entry["Key"], entry["Size"], entry["LastModified"])


def read_lines(s3: Any, bucket: str, key: str) -> list[bytes]:
    """The records of an object as they are written. An object has at most a few megabytes of them."""
    content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content.removesuffix(b"\n").split(b"\n") if content else []


def read_records(s3: Any, bucket: str, key: str) -> Iterator[QuarantineRecord]:
    """What the records of an object say, without their content."""
    if key.endswith(".json"):
        yield _single(s3, bucket, key)
        return
    for number, line in enumerate(read_lines(s3, bucket, key), start=1):
        record = _decode(line)
        source = record.source
        yield QuarantineRecord(
            key, number, record.reason, source.key, source.offset, source.length, record.raw_key
        )


def _single(s3: Any, bucket: str, key: str) -> QuarantineRecord:
    """An object that is one record: its reason stands near its beginning, and the rest is not read."""
    answer = s3.get_object(Bucket=bucket, Key=key, Range=_BEGINNING)
    found = _is_reason(answer["Body"].read())
    length = int(answer["ContentRange"].rpartition("/")[2])
    reason = found[1].decode() if found else "UNKNOWN"
    return QuarantineRecord(key, 1, reason, key.rpartition("/")[2], 0, length, None)
