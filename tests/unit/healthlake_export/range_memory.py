"""A process that handles every byte range of a large object (`usual` or `extreme`), with the handler's
imports and clients but no network, and prints its peak memory in megabytes and what it counted. Run by the
memory test."""

from __future__ import annotations

import gc
import io
import json
import random
import resource
import sys
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from common import aws_clients, observability
from common.retry_policy import RetryPolicy
from healthlake_export import process_range
from healthlake_export.byte_ranges import ExportedObject, cut_into_ranges
from healthlake_export.range_processing import RangeProcessor
from healthlake_export.run_context import RunContext
from healthlake_export.settings import ExportSettings

MB = 1024 * 1024
HEAD = b'{"resourceType":"Patient","id":"p1","meta":{"versionId":"1"},"text":"'
ETAG = '"etag"'
IDS_KEY = "runs/before/published-ids.bin"
ORDINARY = 2048


def resource_line(length: int, *, valid: bool = True) -> tuple[bytes, int, bytes]:
    """Beginning, length of the filling, and end of a line of `length` bytes."""
    end = b'\xf0\x9f\x98\x80"}\n' if valid else b"\xff\n"
    return HEAD, length - len(HEAD) - len(end), end


FILLING = random.Random(1).randbytes(5 * MB // 2).hex().encode()
"""Text that compresses to half."""


def ordinary_lines(megabytes: int) -> list[tuple[bytes]]:
    """Lines of two kilobytes, a megabyte of them at once: what holds them here takes next to nothing."""
    head, filling, end = resource_line(ORDINARY)
    texts = (FILLING[number * filling : (number + 1) * filling] for number in range(MB // ORDINARY))
    return [(b"".join(head + text + end for text in texts),)] * megabytes


OBJECTS = {
    "usual": [*ordinary_lines(100), resource_line(5 * MB), *ordinary_lines(100)],
    "extreme": [
        *ordinary_lines(150),
        resource_line(100 * MB),
        *[resource_line(31 * MB)] * 3,
        resource_line(31 * MB, valid=False),
        *[resource_line(5 * MB)] * 4,
        *[resource_line(180 * 1024)] * 200,
    ],
}
PIECES: list[bytes | int] = [piece for line in OBJECTS[sys.argv[1]] for piece in line]
IDS = {"usual": None, "extreme": IDS_KEY}[sys.argv[1]]


class SyntheticS3:
    """One object, made up as it is read, and as many ids of the run before as are loaded."""

    def __init__(self) -> None:
        lengths = (piece if isinstance(piece, int) else len(piece) for piece in PIECES)
        self.starts = list(accumulate(lengths, initial=0))
        self.size = self.starts[-1]

    def get_object(self, **request: Any) -> dict[str, Any]:
        first, last = map(int, request["Range"].removeprefix("bytes=").split("-"))
        if request["Key"] == IDS_KEY:
            return {"Body": io.BytesIO(b"\xff" * (last + 1 - first))}
        return {"Body": io.BytesIO(b"".join(self._content(first, last + 1)))}

    def _content(self, start: int, stop: int) -> Iterator[bytes]:
        for number in range(bisect_right(self.starts, start) - 1, len(PIECES)):
            piece, begin = PIECES[number], self.starts[number]
            if begin >= stop:
                return
            low, high = max(begin, start), min(self.starts[number + 1], stop)
            yield (
                _filling(number, high - low) if isinstance(piece, int) else piece[low - begin : high - begin]
            )

    def put_object(self, **_: Any) -> dict[str, str]:
        return {}

    def upload_part(self, **_: Any) -> dict[str, str]:
        return {"ETag": "part"}

    def abort_multipart_upload(self, **_: Any) -> None:
        pass

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {"UploadId": "upload"}

    def upload_part_copy(self, **_: Any) -> dict[str, Any]:
        return {"CopyPartResult": {"ETag": "part"}}

    def complete_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {}


def _filling(number: int, length: int) -> bytes:
    begin = number * 7919 % (2 * MB)
    return FILLING[begin : begin + length].ljust(length, b"x")


class Bus:
    def put_events(self, *, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803
        json.dumps(Entries)  # as large as what botocore makes of it
        return {"Entries": [{"EventId": "e"} for _ in Entries]}


class Table:
    def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": {"owner": {"S": "arn"}}}

    def transact_write_items(self, **_: Any) -> None:
        pass

    def get_paginator(self, _: str) -> Table:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return []


def peak_megabytes() -> float:
    """Peak resident memory since the process image was loaded. Linux hands on the peak of the parent
    in getrusage, and has its own in /proc."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = MB if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def forget_peak() -> None:
    """Begin to measure here, where Linux lets one: compiling a module takes memory of its own."""
    gc.collect()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    clients = (aws_clients.s3(), aws_clients.events(), aws_clients.dynamodb())
    real = ([client.meta for client in clients], observability.metrics())
    assert callable(process_range.lambda_handler)
    s3 = SyntheticS3()
    processor = RangeProcessor(
        s3=cast(Any, s3),
        events=cast(Any, Bus()),
        dynamodb=cast(Any, Table()),
        settings=cast(
            ExportSettings,
            SimpleNamespace(
                table="t",
                bucket="b",
                lake_bucket="l",
                bus="b",
                overlap_seconds=120,
                max_inline_bytes=204_800,
            ),
        ),
        run=RunContext(
            "r", "arn", "d", "full", True, True, None, None, (), "2026-11-20T10:00:00Z", True, IDS
        ),
        requested_at="2026-11-20T10:00:00Z",
        clock=lambda: datetime.now(UTC),
        policy=RetryPolicy(),
    )
    forget_peak()
    before = peak_megabytes()
    exported = ExportedObject("exports/r/Patient/p.ndjson", s3.size, ETAG)
    entries = [processor.process(piece) for piece in cut_into_ranges([exported], 64 * MB)]
    sys.stdout.write(
        json.dumps(
            {
                "peak": peak_megabytes(),
                "before": before,
                "clients": len(real),
                "size": s3.size,
                "ids": len(processor._previous_ids()),
                "bytes": sum(entry.line_bytes for entry in entries),
                "lines": sum(entry.lines for entry in entries),
                "published": sum(entry.published for entry in entries),
                "quarantined": sum(entry.quarantined for entry in entries),
            }
        )
    )


if __name__ == "__main__":
    main()
