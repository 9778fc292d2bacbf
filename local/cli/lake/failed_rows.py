"""What Firehose has put below the lake's error prefix: records that no row was made of, each with its reason.

Follows Amazon Data Firehose Developer Guide, «Handle failure in data transformation» and «Handling errors for
data format conversion»: lines of JSON, with the record as it was put in base64.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from change_stream.item_types import item_types
from change_stream.lake_partitions import RefusedRow, RowReference, RowRefusal, row_in
from change_stream.row_batches import ANSWER_BYTES, answer_size
from local.cli.operations.hub import DeployedHub

PREFIX = "records-errors/"

_CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchKey", "404"})


@dataclass(frozen=True)
class FailedRow:
    """One record: `code` is Firehose's, `reason` a word for what is wrong with it, None where nothing is
    wrong with the record itself, `data` the record. `line` is the whole line."""

    code: str
    failed_at: str
    reason: str | None
    data: bytes
    line: bytes


@dataclass(frozen=True)
class FailedRows:
    """An object with such records, and its ETag."""

    key: str
    etag: str
    rows: Sequence[FailedRow]


class ErrorPrefix:
    """The error objects of one hub's lake."""

    def __init__(self, hub: DeployedHub) -> None:
        self._s3: Any = hub.client("s3")
        self._bucket = hub.lake_bucket

    def objects(self, key: str | None = None) -> Iterator[FailedRows]:
        """Every object, or those whose keys begin with `key`, oldest first."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=key or PREFIX)
        listed = [entry for page in pages for entry in page.get("Contents", [])]
        for entry in sorted(listed, key=lambda one: (one["LastModified"], one["Key"])):
            got = self._s3.get_object(Bucket=self._bucket, Key=entry["Key"])
            lines = got["Body"].read().splitlines(keepends=True)
            yield FailedRows(entry["Key"], got["ETag"], [_read(line) for line in lines if line.strip()])

    def leave(self, found: FailedRows, rows: Iterable[FailedRow]) -> bool:
        """Leave only these records in the object, which is gone when there are none; the bucket keeps what it
        was for a week. False when somebody else has changed it meanwhile."""
        body = b"".join(row.line for row in rows)
        same = {"Bucket": self._bucket, "Key": found.key, "IfMatch": found.etag}
        try:
            if body:
                self._s3.put_object(**same, Body=body)
            else:
                self._s3.delete_object(**same)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CHANGED:
                raise
            return False
        return True


def refusal_of(data: bytes) -> str | None:
    """What is wrong with a record as a row; for one that was malformed from the start, what was then."""
    try:
        found = row_in(data, item_types())
    except RefusedRow as refusal:
        if refusal.reason is RowRefusal.MALFORMED:
            return str(json.loads(data)["malformed"])
        return refusal.reason.value
    if isinstance(found, RowReference) and answer_size(found) > ANSWER_BYTES:
        return RowRefusal.TOO_LARGE.value
    return None


def _read(line: bytes) -> FailedRow:
    """A line of an error object; what is no such line is a record of its own, which is wrong."""
    try:
        told = json.loads(line)
        data = b64decode(told["rawData"])
        ended = datetime.fromtimestamp(int(told["attemptEndingTimestamp"]) / 1000, UTC)
        code = told.get("errorCode") or told["ErrorCode"]
    except (KeyError, NotBase64, TypeError, ValueError, AttributeError):
        return FailedRow("-", "-", "ERROR_RECORD_NOT_READABLE", b"", line)
    return FailedRow(str(code), ended.isoformat(timespec="seconds"), refusal_of(data), data, line)
