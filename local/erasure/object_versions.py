"""Objects with all of their versions and delete markers, and the bytes of one version."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from common.units import MEBIBYTE

CHUNK_BYTES = 8 * MEBIBYTE
_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NoSuchUpload"})
NO_VERSION = "null"
"""Id of the version that S3 gives an object in a bucket without versions."""
_WHOLE = 200
# «DeleteObjects» of the Amazon S3 API Reference: keys in a request.
_DELETED_AT_ONCE = 1000


class VersionGone(Exception):
    """A version that was listed is not there any more."""


class NotDeleted(Exception):
    """S3 refused to delete a version; the message has its error code."""


@dataclass(frozen=True)
class Version:
    """One version of an object, or a delete marker. In a bucket that never had versions the only one has the
    id `null`."""

    key: str
    version_id: str
    is_latest: bool
    is_marker: bool
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class KeyVersions:
    """Everything that a bucket holds under one key."""

    key: str
    versions: Sequence[Version]

    @property
    def latest(self) -> Version:
        """What a reader gets who names no version."""
        return next((one for one in self.versions if one.is_latest), self.versions[0])


def list_versions(s3: Any, bucket: str) -> Iterator[KeyVersions]:
    """Every key of the bucket with its versions, in order («ListObjectVersions», Amazon S3 API Reference)."""
    held: list[Version] = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [
            *(_version(one, is_marker=False) for one in page.get("Versions", ())),
            *(_version(one, is_marker=True) for one in page.get("DeleteMarkers", ())),
        ]
        held += found
        # The last key of a page may go on in the next one.
        last = max((one.key for one in found), default="")
        yield from _by_key(one for one in held if one.key != last)
        held = [one for one in held if one.key == last]
    yield from _by_key(held)


def _by_key(versions: Iterable[Version]) -> Iterator[KeyVersions]:
    keys: dict[str, list[Version]] = {}
    for one in versions:
        keys.setdefault(one.key, []).append(one)
    for key in sorted(keys):
        yield KeyVersions(key, sorted(keys[key], key=lambda one: one.modified, reverse=True))


def _version(entry: Mapping[str, Any], *, is_marker: bool) -> Version:
    return Version(
        key=entry["Key"],
        version_id=entry.get("VersionId") or NO_VERSION,
        is_latest=entry.get("IsLatest", True),
        is_marker=is_marker,
        size=entry.get("Size", 0),
        etag=entry.get("ETag", ""),
        modified=entry["LastModified"],
    )


def delete_versions(s3: Any, bucket: str, versions: Sequence[Version]) -> None:
    """Delete versions and markers for good, in the order given, as far as they are there.

    Raises `NotDeleted`.
    """
    for start in range(0, len(versions), _DELETED_AT_ONCE):
        some = versions[start : start + _DELETED_AT_ONCE]
        objects = [{"Key": one.key, "VersionId": one.version_id} for one in some]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        refused = [error for error in answer.get("Errors", ()) if error.get("Code") not in _GONE]
        if refused:
            raise NotDeleted(f"S3 kept {len(refused)} versions: {refused[0].get('Code')}")


@dataclass(frozen=True)
class VersionBytes:
    """The bytes of one version, read by ranges. Every method raises `VersionGone` when it is not there."""

    s3: Any
    bucket: str
    version: Version

    def read_range(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, not including, `stop`."""
        if start >= stop:
            return b""
        with _there():
            answer = self.s3.get_object(**self._which(), Range=f"bytes={start}-{stop - 1}")
            content: bytes = answer["Body"].read()
        # A server may leave a range out of account and answer with everything (RFC 9110, «Range»).
        whole = answer["ResponseMetadata"]["HTTPStatusCode"] == _WHOLE
        return content[start:stop] if whole else content

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes in order, 8 MB at once."""
        end = self.version.size if stop is None else stop
        for begin in range(start, end, CHUNK_BYTES):
            yield self.read_range(begin, min(begin + CHUNK_BYTES, end))

    def head(self) -> Mapping[str, Any]:
        """Its headers and metadata."""
        with _there():
            head: Mapping[str, Any] = self.s3.head_object(**self._which())
        return head

    def _which(self) -> dict[str, str]:
        version = self.version
        target = {"Bucket": self.bucket, "Key": version.key}
        if version.version_id == NO_VERSION and version.is_latest:
            return target
        return {**target, "VersionId": version.version_id}


@contextmanager
def _there() -> Iterator[None]:
    """Turns S3's answer that a version is gone into `VersionGone`."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in _GONE:
            raise
        raise VersionGone from None


class VersionFile:
    """A version as a file open for reading, for those who seek in it."""

    def __init__(self, content: VersionBytes) -> None:
        self._content = content
        self._size = content.version.size
        self._position = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._position + size, self._size)
        found = self._content.read_range(self._position, stop)
        self._position += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
