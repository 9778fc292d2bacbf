"""Planning: what an export job wrote, as byte ranges for the map, with its error records quarantined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from common.units import MEBIBYTE
from healthlake_export.byte_ranges import ByteRange, ExportedObject, count_ranges, cut_into_ranges
from healthlake_export.errors import TooManyRanges
from healthlake_export.export_listing import ExportedFiles, job_prefix, list_objects, match_manifest
from healthlake_export.ndjson import RangeLines
from healthlake_export.object_bytes import ObjectBytes
from healthlake_export.quarantine import Quarantine
from healthlake_export.resource_keys import Rejection
from healthlake_export.run_context import RunContext

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from healthlake_export.fhir_export_api import ExportJob

MAX_RANGES = 80_000
"""A map keeps the result of every child, `{}` and a comma, in a state's output of at most 256 KiB (AWS
Step Functions Developer Guide, «Step Functions service quotas»)."""


def items_key(run_id: str) -> str:
    """Key of the object that holds a run's ranges, as the map reads them."""
    return f"runs/{run_id}/ranges.json"


def read_ranges(s3: S3Client, bucket: str, key: str) -> list[ByteRange]:
    """The ranges that were planned and written to `key`."""
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return [ByteRange.from_item(item) for item in msgspec.json.decode(content)]


@dataclass(frozen=True)
class ExportPlanner:
    """Plans a run whose export has ended, reading and writing in `bucket`. What error files say of `erased`
    patients is left out of the quarantine."""

    s3: S3Client
    bucket: str
    range_size: int
    run: RunContext
    erased: frozenset[str] = frozenset()

    def plan(self, job: ExportJob) -> dict[str, Any]:
        """The plan as `$.plan`; the item file is written when there are ranges.

        Raises `ManifestMismatch`, `TooManyRanges`, or `RangeChanged` when an error file is replaced
        meanwhile.
        """
        prefix = job_prefix(self.run.run_id, self.run.datastore_id, job.job_id)
        listed = list_objects(self.s3, self.bucket, prefix)
        files = match_manifest(listed, job.output, job.errors, self.bucket)
        self._require_few_ranges(files)
        ranges = list(cut_into_ranges(files.resources, self.range_size))
        if ranges:
            self._write_items(ranges)
        return {
            "files": len(files.resources),
            "ranges": len(ranges),
            "bytes": sum(exported.size for exported in files.resources),
            "bucket": self.bucket,
            "itemsKey": items_key(self.run.run_id) if ranges else None,
            "quarantined": self._quarantine_errors(files),
        }

    def _require_few_ranges(self, files: ExportedFiles) -> None:
        ranges = count_ranges(files.resources, self.range_size)
        if ranges > MAX_RANGES:
            cure = "raise RangeSizeMegabytes, and start the run again"
            count = len(files.resources)
            if count > MAX_RANGES:
                cure = f"it has {count} files of at least one range; export some types at a time"
            raise TooManyRanges(
                f"The export would have {ranges} byte ranges of {self.range_size // MEBIBYTE} MB, and a run "
                f"can process {MAX_RANGES}: {cure}."
            )

    def _write_items(self, ranges: Sequence[ByteRange]) -> None:
        self.s3.put_object(
            Bucket=self.bucket,
            Key=items_key(self.run.run_id),
            Body=msgspec.json.encode([piece.to_item() for piece in ranges]),
            ContentType="application/json",
        )

    def _quarantine_errors(self, files: ExportedFiles) -> int:
        return sum(
            self._quarantine_file(f"errors-{number:03d}", exported)
            for number, exported in enumerate(files.errors)
        )

    def _quarantine_file(self, name: str, exported: ExportedObject) -> int:
        quarantine = Quarantine(self.s3, self.bucket, self.run.run_id, name, exported, self.erased)
        content = ObjectBytes(self.s3, self.bucket, exported)
        for line in RangeLines(content.chunks(0, exported.size), start=0, end=exported.size):
            quarantine.reject_unless_erased(line, Rejection.EXPORT_ERROR)
        return quarantine.close()
