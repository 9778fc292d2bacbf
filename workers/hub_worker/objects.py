"""An uploaded object, read in ranges: memory is bounded by one range, whatever the object's size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from hub_worker.aws import error_code
from hub_worker.errors import PermanentFailure, PoisonMessage
from hub_worker.messages import JobMessage, with_attributes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RANGE_BYTES = 8 * 1024 * 1024
TRIES = 4
_BROKEN_OFF = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)
_GONE = {"404", "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "405", "MethodNotAllowed"}
_CHANGED = {"412", "PreconditionFailed"}
_ARCHIVED = {"InvalidObjectState"}


LARGEST_REFERENCE = 1024 * 1024
"""More than an item of DynamoDB has."""


@dataclass(frozen=True)
class UploadedObject:
    """One version of an object, the one with this entity tag. A version id is asked for where there is
    one."""

    bucket: str
    key: str
    etag: str
    version_id: str | None

    @property
    def asked(self) -> dict[str, Any]:
        """The parameters of a request for it."""
        version = {"VersionId": self.version_id} if self.version_id else {}
        return {"Bucket": self.bucket, "Key": self.key, "IfMatch": f'"{self.etag}"', **version}


def ranges(
    s3: S3Client,
    of: UploadedObject,
    size: int = RANGE_BYTES,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[bytes]:
    """The object's content, `size` bytes at a time.

    Raises PermanentFailure with object-gone, object-changed or object-archived where no retry will bring
    it; other failures of S3 are let through.
    """
    with_reason = _PermanentFailures()
    with with_reason:
        length = s3.head_object(**of.asked)["ContentLength"]
    for begin in range(0, length, size):
        end = min(begin + size, length)
        with with_reason:
            content = _read(s3, of, begin, end, sleep)
        yield content


def referenced(s3: S3Client, message: JobMessage) -> JobMessage:
    """The message with its attributes, which are fetched where it only refers to them.

    Raises PoisonMessage when they are no attributes, PermanentFailure when they are gone.
    """
    if message.reference is None:
        return message
    if not 0 <= message.reference.length <= LARGEST_REFERENCE:
        raise PoisonMessage("The message refers to more than an item can have.")
    with _PermanentFailures():
        answer = s3.get_object(Bucket=message.reference.bucket, Key=message.reference.key)
        return with_attributes(message, answer["Body"].read(LARGEST_REFERENCE))


class _PermanentFailures:
    """Turns answers of S3 that stay the same into reasons."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, ClientError):
            return
        code = error_code(error)
        for codes, reason in (
            (_GONE, "object-gone"),
            (_CHANGED, "object-changed"),
            (_ARCHIVED, "object-archived"),
        ):
            if code in codes:
                raise PermanentFailure(reason) from None


def _read(s3: S3Client, of: UploadedObject, begin: int, end: int, sleep: Callable[[float], None]) -> bytes:
    """One range, whole. A body that breaks off is asked for again, which the SDK leaves to its caller."""
    for failures in range(1, TRIES + 1):
        try:
            content = s3.get_object(**of.asked, Range=f"bytes={begin}-{end - 1}")["Body"].read()
            if len(content) == end - begin:
                return content
            error: BotoCoreError = IncompleteReadError(actual_bytes=len(content), expected_bytes=end - begin)
        except _BROKEN_OFF as broken_off:
            error = broken_off
        if failures == TRIES:
            raise error
        sleep(0.2 * 2**failures)
    raise AssertionError
