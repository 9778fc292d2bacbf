"""A run's rows in the lake, counted from the files themselves."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lake.fhir_files import PREFIX, export_date

_TAIL_BYTES = 64 * 1024
"""More than the footer of most files."""
_FOOTER_END = 8
"""Parquet's «File Format»: the footer's length in four bytes, and four bytes of magic number."""


def count_rows(s3: Any, bucket: str, run_id: str, started_at: str) -> tuple[int, int]:
    """The files that the run has in the lake, and the rows that their footers count."""
    files = rows = 0
    for key, size in files_of_run(s3, bucket, run_id, export_date(started_at)):
        files += 1
        rows += _footer(s3, bucket, key, size).num_rows
    return files, rows


def files_of_run(s3: Any, bucket: str, run_id: str, day: str) -> Iterator[tuple[str, int]]:
    """Keys and sizes of the files of a run that began on this day."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX, Delimiter="/")
    types = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]
    for resource_type in types:
        beginning = f"{resource_type}export_date={day}/{run_id}-"
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=beginning):
            for found in page.get("Contents", []):
                yield found["Key"], found["Size"]


def _footer(s3: Any, bucket: str, key: str, size: int) -> pq.FileMetaData:
    tail = _last_bytes(s3, bucket, key, min(size, _TAIL_BYTES))
    needed = int.from_bytes(tail[-_FOOTER_END:-4], "little") + _FOOTER_END
    if needed > len(tail):
        tail = _last_bytes(s3, bucket, key, min(size, needed))
    return pq.read_metadata(pa.BufferReader(tail))


def _last_bytes(s3: Any, bucket: str, key: str, count: int) -> bytes:
    content: bytes = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=-{count}")["Body"].read()
    return content
