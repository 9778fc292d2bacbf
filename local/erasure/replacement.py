"""A new version of an object in the place of the one that was read, and of no other."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from common.units import MEBIBYTE
from local.erasure.erased_objects import ERASED, PLANNED_ETAG
from local.erasure.object_versions import Version

PART_BYTES = 8 * MEBIBYTE
"""What is held before a part is sent. S3 takes parts of 5 MB or more."""

_MOST_PARTS = 9_000
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404", "412", "409"})


class ObjectChanged(Exception):
    """The object is not the one that was read any more; nothing was written."""


class Replacement:
    """A file open for writing that takes the place of `version` with `complete`, in one step and only if that
    is still what readers get. `head` has the headers and metadata to keep, and `erased` counts what is left
    out of it.

    Follows «PutObject» and «CompleteMultipartUpload» (If-Match) of the Amazon S3 API Reference.
    """

    def __init__(self, s3: Any, bucket: str, version: Version, head: Mapping[str, Any], erased: int) -> None:
        self._s3 = s3
        self._target = {"Bucket": bucket, "Key": version.key}
        self._if_match = version.etag
        self._headers = {
            "ContentType": head.get("ContentType", ""),
            "Metadata": _metadata(version, head, erased),
        }
        # S3 takes 10,000 parts.
        self._part_bytes = max(PART_BYTES, version.size // _MOST_PARTS)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Take bytes; returns their number."""
        content = bytes(data)
        self._held.append(content)
        self._held_bytes += len(content)
        self._size += len(content)
        if self._held_bytes >= self._part_bytes:
            self._send_part()
        return len(content)

    def tell(self) -> int:
        """The number of bytes written."""
        return self._size

    def flush(self) -> None:
        """Nothing: what is held is sent when it makes a part, or with `complete`."""

    def close(self) -> None:
        """End the writing; the object is replaced by `complete`."""
        self.closed = True

    def complete(self) -> str:
        """Put what was written in the object's place; returns the id of the new version, `null` where the
        bucket keeps none. Raises `ObjectChanged`."""
        try:
            answer = self._send_last()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _CHANGED:
                raise
            self.abort()
            raise ObjectChanged from None
        self._upload = None
        return str(answer.get("VersionId") or "null")

    def abort(self) -> None:
        """Give up what was not completed."""
        self.closed = True
        self._held = []
        if self._upload is not None:
            self._s3.abort_multipart_upload(**self._target, UploadId=self._upload)
            self._upload = None

    def _send_last(self) -> Mapping[str, Any]:
        if self._upload is None:
            answer: Mapping[str, Any] = self._s3.put_object(
                **self._target, **self._headers, Body=self._take(), IfMatch=self._if_match
            )
            return answer
        if self._held_bytes:
            self._send_part()
        completed: Mapping[str, Any] = self._s3.complete_multipart_upload(
            **self._target,
            UploadId=self._upload,
            MultipartUpload={"Parts": self._parts},
            IfMatch=self._if_match,
        )
        return completed

    def _send_part(self) -> None:
        if self._upload is None:
            self._upload = self._s3.create_multipart_upload(**self._target, **self._headers)["UploadId"]
        number = len(self._parts) + 1
        answer = self._s3.upload_part(
            **self._target, UploadId=self._upload, PartNumber=number, Body=self._take()
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def _take(self) -> bytes:
        held, self._held, self._held_bytes = b"".join(self._held), [], 0
        return held


def _metadata(version: Version, head: Mapping[str, Any], erased: int) -> dict[str, str]:
    """What the object had, with the number of rows or lines that were ever erased from it and the ETag that
    it was planned with: numbers and hashes, nothing of what it holds."""
    before: Mapping[str, str] = head.get("Metadata", {})
    return {
        PLANNED_ETAG: version.etag.strip('"'),
        **before,
        ERASED: str(int(before.get(ERASED, 0)) + erased),
    }
