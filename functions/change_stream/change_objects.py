"""Objects of changes that are too large for their way, or that nothing could be made of.

All names are event ids, or hashes of the record: writing one again overwrites it. That of a detail has a hash
of the detail too: a record that is read again finds its resource as it is then, and an event that went out
before still refers to what it was made with.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from change_stream.errors import Malformed
from change_stream.stream_record import record_identity

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Reference:
    """Where what was too large lies: `length` in bytes."""

    bucket: str
    key: str
    length: int

    def to_json(self) -> dict[str, Any]:
        return {"bucket": self.bucket, "key": self.key, "length": self.length}


class ChangeObjects:
    """Writes to the hub's bucket; errors are the client's own."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put_detail(self, event_id: str, detail: bytes) -> Reference:
        """Keep the whole detail of an event."""
        digest = hashlib.sha256(detail).hexdigest()[:16]
        return self._put(f"changes/{event_id}-{digest}.json", detail)

    def put_row(self, event_id: str, row: bytes) -> Reference:
        """Keep a row of the lake on its way there."""
        return self._put(f"changes/rows/{event_id}.json", row)

    def quarantine(self, record: Any, reason: Malformed) -> Reference:
        """Keep a record whole, with the reason why nothing was made of it. Written as ASCII, which holds
        what is no Unicode, too."""
        kept = json.dumps({"reason": reason.value, "record": record}, separators=(",", ":"))
        return self._put(f"quarantine/records/{record_identity(record)}.json", kept.encode("ascii"))

    def _put(self, key: str, body: bytes) -> Reference:
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")
        return Reference(self._bucket, key, len(body))
