"""Quarantine: lines that cannot be processed, kept whole with their reason and where they came from.

A record is a line of NDJSON in `quarantine/<runId>/<name>-<part>.ndjson`:

    {"reason": "NOT_JSON", "source": {"bucket", "key", "etag", "offset", "length"}, "line": "..."}

`length` counts the line's terminator. A line that is not UTF-8 stands in `lineBase64`; one that is too
large for a record lies in an object of its own, `quarantine/<runId>/<name>-<offset>.raw`, which `rawKey`
names. All names are derived from what was read, so that doing it again overwrites.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from common.units import MEBIBYTE
from healthlake_export import erasures
from healthlake_export.byte_ranges import ExportedObject
from healthlake_export.ndjson import Line, LinePlace, OversizedLine, line_at
from healthlake_export.object_bytes import SMALLEST_COPIED_FROM, ObjectBytes
from healthlake_export.resource_keys import Rejection, is_utf8

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 4 * MEBIBYTE
"""A part is written when its records come to this."""

MAX_RECORD_LINE_BYTES = MEBIBYTE
"""A longer line gets an object of its own."""

_encode = msgspec.json.Encoder().encode


class Quarantine:
    """Takes the bad lines of one exported object. `name` tells apart who writes: the index of a byte
    range, or an error file. What it was given is safe once `close` has returned."""

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        run_id: str,
        name: str,
        exported: ExportedObject,
        erased: frozenset[str] = frozenset(),
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = f"quarantine/{run_id}/{name}"
        self._object = exported
        self._bytes = ObjectBytes(s3, bucket, exported)
        self._erased = erased
        self._records: list[bytes] = []
        self._size = 0
        self._part = 0
        self._written = 0

    def reject_unless_erased(self, line: Line | OversizedLine, reason: Rejection) -> bool:
        """Keep a line unless it mentions a patient that was erased; returns whether it is kept. One that was
        never read is copied within S3, and too long whatever the reason."""
        if isinstance(line, OversizedLine):
            if erasures.mentions_in(self._bytes.pieces(line.offset, line.length), self._erased):
                return False
            self._copy(LinePlace(line.offset, line.length), Rejection.TOO_LONG)
        else:
            if erasures.mentions(line.text, self._erased):
                return False
            self.reject(line, reason)
        return True

    def reject(self, line: Line, reason: Rejection) -> None:
        """Keep a line as it is."""
        if len(line.text) > MAX_RECORD_LINE_BYTES:
            key = self._raw_key(line.offset)
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=line.text)
            self._add(line, reason, {"rawKey": key})
        elif is_utf8(line.text):
            self._add(line, reason, {"line": line.text.decode()})
        else:
            content = base64.b64encode(line.text).decode()
            self._add(line, reason, {"lineBase64": content})

    def reject_at(self, place: LinePlace, reason: Rejection) -> None:
        """Keep a line that is not held any more: it is read again, or copied within S3 when it is large."""
        if place.length > SMALLEST_COPIED_FROM:
            self._copy(place, reason)
        else:
            content = self._bytes.read(place.offset, place.offset + place.length)
            self.reject(line_at(place.offset, content), reason)

    def close(self) -> int:
        """Write what is left, and return the number of records written."""
        self._write_part()
        return self._written

    def _copy(self, place: LinePlace, reason: Rejection) -> None:
        key = self._raw_key(place.offset)
        self._bytes.copy(place.offset, place.length, key)
        self._add(place, reason, {"rawKey": key})

    def _raw_key(self, offset: int) -> str:
        return f"{self._prefix}-{offset}.raw"

    def _add(self, line: Line | LinePlace, reason: Rejection, content: dict[str, str]) -> None:
        source: dict[str, Any] = {
            "bucket": self._bucket,
            "key": self._object.key,
            "etag": self._object.etag,
            "offset": line.offset,
            "length": line.length,
        }
        record = _encode({"reason": reason.value, "source": source, **content}) + b"\n"
        self._records.append(record)
        self._size += len(record)
        if self._size >= PART_BYTES:
            self._write_part()

    def _write_part(self) -> None:
        if not self._records:
            return
        self._s3.put_object(
            Bucket=self._bucket,
            Key=f"{self._prefix}-{self._part:03d}.ndjson",
            Body=b"".join(self._records),
            ContentType="application/x-ndjson",
        )
        self._written += len(self._records)
        self._part += 1
        self._records = []
        self._size = 0
