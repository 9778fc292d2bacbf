"""Writes that no further try would bring about, kept whole in S3 with their reason.

`quarantine/fhir-writes/<eventId>.json`:

    {"reason": "REFUSED_BY_HEALTHLAKE", "reference": "Patient/p1", "message": {...}, "operation": "PUT",
     "status": 400, "resource": "...", "operationOutcome": {...}, "at": "2026-11-20T12:00:00.000Z"}

`resource` is the text that was refused. `reason` is `UNMAPPABLE` where the items make no resource; then
`explanation` stands in place of what was sent and answered. A message that comes again overwrites its
object. By `reference` and `resource` an erasure finds what concerns a patient.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from common.instants import format_instant
from fhir_writer.errors import ResourceRefused, ResourceUnmappable
from fhir_writer.write_messages import FhirWrite

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "quarantine/fhir-writes/"


class FailedWrites:
    """Keeps failed writes in a bucket. `now` gives an aware time."""

    def __init__(self, s3: S3Client, bucket: str, now: Callable[[], datetime]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._now = now

    def keep(self, write: FhirWrite, failure: ResourceRefused | ResourceUnmappable) -> None:
        """Write the record of a failed write; it is safe once this has returned."""
        record = {
            "reference": f"{write.resource_type}/{write.resource_id}",
            "message": json.loads(write.body()),
            "at": format_instant(self._now()),
            **_explained(failure),
        }
        self._s3.put_object(
            Bucket=self._bucket,
            Key=f"{PREFIX}{write.event_id}.json",
            Body=json.dumps(record, ensure_ascii=False).encode(),
            ContentType="application/json",
        )


def _explained(failure: ResourceRefused | ResourceUnmappable) -> dict[str, Any]:
    if isinstance(failure, ResourceUnmappable):
        return {"reason": "UNMAPPABLE", "explanation": str(failure)}
    return {
        "reason": "REFUSED_BY_HEALTHLAKE",
        "operation": failure.operation,
        "status": failure.status,
        "resource": failure.resource.decode(),
        "operationOutcome": json.loads(failure.answer),
    }
