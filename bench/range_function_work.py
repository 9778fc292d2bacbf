"""The range function's work and the parts of it, each alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bench.same_table import DATASTORE_ID, RUN_ID
from bench.stubbed_services import OWNER, FileS3, Table, stubbed_events
from bench.timed_work import Prepare, Work, main
from common.byte_spans import ByteSpans
from common.retry_policy import RetryPolicy
from common.units import MEBIBYTE
from healthlake_export import process_range, range_processing
from healthlake_export.byte_ranges import ExportedObject, cut_into_ranges
from healthlake_export.compartment_keys import KeyReader
from healthlake_export.lake_files import LakeFiles, Written
from healthlake_export.ndjson import LineBlock, RangeLines
from healthlake_export.object_bytes import CHUNK_BYTES
from healthlake_export.range_processing import RangeProcessor
from healthlake_export.resource_keys import ResourceKeys
from healthlake_export.run_context import RunContext
from healthlake_export.settings import ExportSettings

RANGE_BYTES = 64 * MEBIBYTE
"""The template's default."""

assert callable(process_range.lambda_handler)  # what a function's process has loaded counts in its memory

_KEY = "exports/bench/store-FHIR_EXPORT-job/Mixed/Mixed-0-0-0.ndjson"
_INSTANT = "2026-11-21T10:00:00.000Z"


def read(given: Path, _folder: Path) -> Work:
    """Reading alone, in chunks as large as the function's."""

    def work() -> None:
        with given.open("rb", buffering=0) as file:
            while file.read(CHUNK_BYTES):
                pass

    return work


def scan(given: Path, _folder: Path) -> Work:
    """Reading keys alone, of lines that are split already, in blocks as the function has them."""
    blocks = _blocks(given)

    def work() -> None:
        reader = KeyReader()
        for texts in blocks:
            if reader.read_block(texts) is None:
                raise ValueError("a block that has to be read line by line")

    return work


def write(given: Path, folder: Path) -> Work:
    """Writing Parquet alone, of texts and keys."""
    blocks = [(texts, _keys(texts)) for texts in _blocks(given)]

    def work() -> None:
        lake = LakeFiles(cast(Any, FileS3(given, folder / "lake")), "lake", _run(events=False), 0)
        for texts, keys in blocks:
            lake.make_room(sum(map(len, texts)))
            lake.add_block(texts, keys)
        lake.complete()

    return work


def parquet(given: Path, folder: Path) -> Work:
    """The function, with events off."""
    return _process(given, folder, events=False)


def events_and_parquet(given: Path, folder: Path) -> Work:
    """The function, with an event for each resource."""
    return _process(given, folder, events=True)


def events(given: Path, folder: Path) -> Work:
    """The function, with events and a lake that takes rows and does nothing with them."""
    vars(range_processing)["LakeFiles"] = _NoLake
    return _process(given, folder, events=True)


class _NoLake:
    """Takes the rows of a byte range, and drops them."""

    def __init__(self, *_: Any) -> None:
        self._rows = 0

    def is_full_with(self, _more: int) -> bool:
        return False

    def add(self, _line: object, _keys: object) -> None:
        self._rows += 1

    def add_block(self, texts: Sequence[bytes], _keys: object) -> None:
        self._rows += len(texts)

    def without(self, _resource_type: str) -> None:
        """Nothing was written before."""

    def leave_out(self, _offsets: object) -> None:
        """Nothing is held."""

    def complete(self) -> Written:
        return Written(0, self._rows, 0)

    def abort(self) -> None:
        raise AssertionError("a benchmark ends what it began")


def _process(given: Path, folder: Path, *, events: bool) -> Work:
    s3 = FileS3(given, folder / "lake")
    settings = SimpleNamespace(
        table="hub",
        bucket="hub",
        lake_bucket="lake",
        bus="hub-events",
        overlap_seconds=120,
        max_inline_bytes=204_800,
        max_events_per_run=1_000_000,
        max_concurrency=20,
    )
    processor = RangeProcessor(
        s3=cast(Any, s3),
        events=stubbed_events(),
        dynamodb=cast(Any, Table()),
        settings=cast(ExportSettings, settings),
        run=_run(events=events),
        requested_at=_INSTANT,
        clock=lambda: datetime(2026, 11, 21, 10, 30, tzinfo=UTC),
        policy=RetryPolicy(),
    )
    pieces = list(cut_into_ranges([ExportedObject(_KEY, given.stat().st_size, '"etag"')], RANGE_BYTES))

    def work() -> None:
        for piece in pieces:
            entry = processor.process(piece)
            if entry.rows != entry.lines or entry.published != entry.rows * events:
                raise ValueError("a benchmark processes good lines only")

    return work


def _blocks(given: Path) -> list[ByteSpans]:
    size = given.stat().st_size
    with given.open("rb") as file:
        chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
        parts = RangeLines(chunks, start=0, end=size).blocks()
        return [part.texts if isinstance(part, LineBlock) else _alone(part) for part in parts]


def _alone(part: Any) -> ByteSpans:
    """The text of a line that lies in two chunks."""
    text: bytes = part.text
    return ByteSpans(text, [0], [len(text)])


def _keys(texts: ByteSpans) -> list[ResourceKeys]:
    keys = KeyReader().read_block(texts)
    assert keys is not None
    return keys


def _run(*, events: bool) -> RunContext:
    return RunContext(
        run_id=RUN_ID,
        execution_arn=OWNER,
        datastore_id=DATASTORE_ID,
        mode="incremental",
        snapshot=False,
        events=events,
        since=_INSTANT,
        until=None,
        types=(),
        started_at=_INSTANT,
        advances_watermark=True,
        previous_ids=None,
    )


WORKS: dict[str, Prepare] = {
    "read": read,
    "scan": scan,
    "write": write,
    "parquet": parquet,
    "events": events,
    "both": events_and_parquet,
}

if __name__ == "__main__":
    main(WORKS, sys.argv[1:])
