"""An object of S3 as a file to be written: in parts when it is large, and there all at once or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from common.units import MEBIBYTE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 5 * MEBIBYTE
"""What is held before a part is sent: the least that S3 takes as a part. It takes 10,000 of them."""

_HEADERS: Mapping[str, Any] = {"ContentType": "application/vnd.apache.parquet"}
_NO_CONDITION: Mapping[str, Any] = {}


class S3Upload:
    """A file open for writing that becomes the object `key` with `complete`; `abort` leaves nothing of it.
    `headers` are the object's, and `condition` is asked of S3 in the call that makes it.

    Follows «Uploading and copying objects using multipart upload» of the Amazon S3 User Guide.
    """

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        key: str,
        *,
        part_bytes: int = PART_BYTES,
        headers: Mapping[str, Any] = _HEADERS,
        condition: Mapping[str, Any] = _NO_CONDITION,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._key = key
        self._headers = headers
        self._condition = condition
        self._part_bytes = part_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._upload: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Take bytes; returns their number."""
        content = bytes(data)
        self._held.append(content)
        self._held_bytes += len(content)
        self.size += len(content)
        if self._held_bytes >= self._part_bytes:
            self._send_part()
        return len(content)

    def tell(self) -> int:
        """The number of bytes written."""
        return self.size

    def flush(self) -> None:
        """Nothing: what is held is sent when it makes a part, or with `complete`."""

    def close(self) -> None:
        """End the writing; the object exists after `complete`."""
        self.closed = True

    def complete(self) -> str | None:
        """Make what was written the object; returns the id of its version where the bucket keeps versions."""
        self.closed = True
        if self._upload is None:
            put = self._s3.put_object(
                Bucket=self._bucket, Key=self._key, Body=self._take(), **self._headers, **self._condition
            )
            return put.get("VersionId")
        if self._held_bytes:
            self._send_part()
        completed = self._s3.complete_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload,
            MultipartUpload={"Parts": self._parts},
            **self._condition,
        )
        self._upload = None
        return completed.get("VersionId")

    def abort(self) -> None:
        """Give up what was not completed. Parts that S3 does not remove now, the bucket's lifecycle does."""
        self.closed = True
        self._take()
        if self._upload is not None:
            with suppress(ClientError, BotoCoreError):  # what went wrong before is what has to be told
                self._s3.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._upload)
            self._upload = None

    def _send_part(self) -> None:
        if self._upload is None:
            created = self._s3.create_multipart_upload(Bucket=self._bucket, Key=self._key, **self._headers)
            self._upload = created["UploadId"]
        number = len(self._parts) + 1
        answer = self._s3.upload_part(
            Bucket=self._bucket,
            Key=self._key,
            UploadId=self._upload,
            PartNumber=number,
            Body=self._take(),
        )
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def _take(self) -> bytes:
        held, self._held, self._held_bytes = b"".join(self._held), [], 0
        return held
