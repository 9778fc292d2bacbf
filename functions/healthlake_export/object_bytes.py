"""Bytes of exported objects: read in chunks, or copied by range within S3. Always those of the object
that was planned: S3 refuses when its ETag is another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from common.units import MEBIBYTE
from healthlake_export.byte_ranges import ExportedObject
from healthlake_export.errors import RangeChanged

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

CHUNK_BYTES = 4 * MEBIBYTE
_FIRST_CHUNK_PAST_END = 64 * 1024
_COPY_PART_BYTES = 256 * MEBIBYTE
SMALLEST_COPIED_FROM = 5 * MEBIBYTE
"""S3 copies ranges only out of objects that are larger than this."""

_ANOTHER_OBJECT = frozenset({"PreconditionFailed", "412", "NoSuchKey", "404", "InvalidRange", "416"})


class ObjectBytes:
    """The bytes of one exported object in `bucket`. Every method raises `RangeChanged` when the object
    is not the one that was planned any more."""

    def __init__(self, s3: S3Client, bucket: str, exported: ExportedObject) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._object = exported

    def chunks(self, start: int, end: int) -> Iterator[bytes]:
        """The object from `start` on, in chunks of 4 MB up to `end`, and from there to the object's end
        in small ones that grow: past its end a range needs no more than the rest of its last line."""
        position = start
        past_end = _FIRST_CHUNK_PAST_END
        while position < self._object.size:
            if position < end:
                stop = min(position + CHUNK_BYTES, end)
            else:
                stop = min(position + past_end, self._object.size)
                past_end = min(past_end * 2, CHUNK_BYTES)
            yield self.read(position, stop)
            position = stop

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `offset`, in pieces of 4 MB."""
        for start in range(offset, offset + length, CHUNK_BYTES):
            yield self.read(start, min(start + CHUNK_BYTES, offset + length))

    def copy(self, offset: int, length: int, key: str) -> None:
        """Copy `length` bytes from `offset` to the object `key` of the same bucket, within S3. What is
        copied from has to be larger than `SMALLEST_COPIED_FROM`.

        Follows «UploadPartCopy» of the Amazon S3 API Reference.
        """
        upload = self._s3.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]
        try:
            parts = [
                self._copy_part(key, upload, number, start, min(start + _COPY_PART_BYTES, offset + length))
                for number, start in enumerate(range(offset, offset + length, _COPY_PART_BYTES), start=1)
            ]
            self._s3.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            raise

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`."""
        try:
            answer = self._s3.get_object(
                Bucket=self._bucket,
                Key=self._object.key,
                Range=f"bytes={start}-{stop - 1}",
                IfMatch=self._object.etag,
            )
        except ClientError as error:
            self._raise_if_changed(error)
            raise
        content = answer["Body"].read()
        if len(content) != stop - start:
            raise self._changed()
        return content

    def _copy_part(self, key: str, upload: str, number: int, start: int, stop: int) -> CompletedPartTypeDef:
        try:
            answer = self._s3.upload_part_copy(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": self._object.key},
                CopySourceIfMatch=self._object.etag,
                CopySourceRange=f"bytes={start}-{stop - 1}",
            )
        except ClientError as error:
            self._raise_if_changed(error)
            raise
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    def _raise_if_changed(self, error: ClientError) -> None:
        if error.response.get("Error", {}).get("Code") in _ANOTHER_OBJECT:
            raise self._changed() from None

    def _changed(self) -> RangeChanged:
        return RangeChanged(f"{self._object.key} is no longer the object that was planned.")
