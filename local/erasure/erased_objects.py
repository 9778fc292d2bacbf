"""Objects that a patient was erased from: how much, and what they were before, as their metadata tells."""

from typing import Any

from healthlake_export.byte_ranges import ExportedObject

ERASED = "healthlake-hub-erased"
"""Metadata: rows, lines or records that were ever erased from the object."""

PLANNED_ETAG = "healthlake-hub-planned-etag"
"""Metadata: the ETag that the object had before anything was erased from it, which runs and ledgers know."""


def erased_since(s3: Any, bucket: str, planned: ExportedObject) -> tuple[ExportedObject, int] | None:
    """What stands in the place of a planned object since lines were erased from it, and how many were; None
    when it is another object or gone."""
    try:
        head = s3.head_object(Bucket=bucket, Key=planned.key)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
        return None
    metadata = head.get("Metadata", {})
    if metadata.get(PLANNED_ETAG) != planned.etag.strip('"') or head["ContentLength"] != planned.size:
        return None
    return ExportedObject(planned.key, planned.size, head["ETag"]), int(metadata.get(ERASED, 0))
