"""A new version of an object in the place of the one that was read, and of no other."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from common.units import MEBIBYTE
from lake.s3_upload import S3Upload
from local.erasure.erased_objects import ERASED, PLANNED_ETAG
from local.erasure.object_versions import NO_VERSION, Version

PART_BYTES = 8 * MEBIBYTE
"""What is held before a part is sent. S3 takes parts of 5 MB or more."""

_MOST_PARTS = 9_000
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404", "412", "409"})


class ObjectChanged(Exception):
    """The object is not the one that was read any more; nothing was written."""


class Replacement(S3Upload):
    """A file open for writing that takes the place of `version` with `replace`, in one step and only if that
    is still what readers get. `head` has the headers and metadata to keep, and `erased` counts what is left
    out of it.

    Follows «PutObject» and «CompleteMultipartUpload» (If-Match) of the Amazon S3 API Reference.
    """

    def __init__(self, s3: Any, bucket: str, version: Version, head: Mapping[str, Any], erased: int) -> None:
        super().__init__(
            s3,
            bucket,
            version.key,
            # S3 takes 10,000 parts.
            part_bytes=max(PART_BYTES, version.size // _MOST_PARTS),
            headers={
                "ContentType": head.get("ContentType", ""),
                "Metadata": _metadata(version, head, erased),
            },
            condition={"IfMatch": version.etag},
        )

    def replace(self) -> str:
        """Put what was written in the object's place; returns the id of the new version, `null` where the
        bucket keeps none. Raises `ObjectChanged`."""
        try:
            return self.complete() or NO_VERSION
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _CHANGED:
                raise
            self.abort()
            raise ObjectChanged from None


def _metadata(version: Version, head: Mapping[str, Any], erased: int) -> dict[str, str]:
    """What the object had, with the number of rows or lines that were ever erased from it and the ETag that
    it was planned with: numbers and hashes, nothing of what it holds."""
    before: Mapping[str, str] = head.get("Metadata", {})
    return {
        PLANNED_ETAG: version.etag.strip('"'),
        **before,
        ERASED: str(int(before.get(ERASED, 0)) + erased),
    }
