"""Published ids as objects in the hub's bucket: one per byte range that has any, and one per run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from common.units import MEBIBYTE
from healthlake_export.change_events import EVENT_ID_BYTES
from healthlake_export.published_ids import PublishedIds, merge_ids, range_ids_key, run_ids_key, split_ids

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_LOADED_BYTES = 32 * MEBIBYTE
"""Two million ids. Of more, the first are used; what the others would have told is published again,
which consumers recognise by the event's id."""

_MERGE_BYTES = 64 * MEBIBYTE
_SMALLEST_BLOCK = 16 * 1024
_READERS = 16


def load_ids(s3: S3Client, bucket: str, key: str) -> PublishedIds:
    """The ids that a run left under `key`; none when the object has expired since."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{MAX_LOADED_BYTES - 1}")
    except s3.exceptions.NoSuchKey:
        return PublishedIds()
    return PublishedIds(answer["Body"].read())


def save_range_ids(s3: S3Client, bucket: str, run_id: str, index: int, ids: bytes) -> None:
    """Keep the sorted ids of a byte range; none, no object."""
    if ids:
        s3.put_object(Bucket=bucket, Key=range_ids_key(run_id, index), Body=ids)


def merge_range_ids(s3: S3Client, bucket: str, run_id: str, indexes: Iterable[int]) -> str | None:
    """Merge the ids of the byte ranges that have any into one object of the run, and return its key;
    None when there are none. Objects are read block by block, so that memory stays bounded."""
    keys = [range_ids_key(run_id, index) for index in indexes]
    if not keys:
        return None
    target = run_ids_key(run_id)
    block = max(_MERGE_BYTES // len(keys), _SMALLEST_BLOCK) // EVENT_ID_BYTES * EVENT_ID_BYTES
    with ThreadPoolExecutor(_READERS) as readers, tempfile.TemporaryFile() as merged:
        first_blocks = readers.map(partial(_read_block, s3, bucket, block=block, start=0), keys)
        sources = [
            _ids_of(s3, bucket, key, block, *first) for key, first in zip(keys, first_blocks, strict=True)
        ]
        merged.writelines(merge_ids(sources))
        merged.seek(0)
        # Lambda's disk holds less than the 5 GB that S3 takes at once.
        s3.put_object(Bucket=bucket, Key=target, Body=merged)
    return target


def _ids_of(s3: S3Client, bucket: str, key: str, block: int, content: bytes, size: int) -> Iterator[bytes]:
    position = 0
    while True:
        yield from split_ids(content)
        position += len(content)
        if position >= size:
            return
        content, size = _read_block(s3, bucket, key, block=block, start=position)


def _read_block(s3: S3Client, bucket: str, key: str, *, block: int, start: int) -> tuple[bytes, int]:
    """A block of ids from byte `start` on, and the size of the whole object."""
    answer = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{start + block - 1}")
    return answer["Body"].read(), int(answer["ContentRange"].rpartition("/")[2])
