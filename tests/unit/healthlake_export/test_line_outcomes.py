"""Lines come to the same by the block as one by one, where more has to be known of each."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from healthlake_export import lake_files as range_files
from healthlake_export import object_bytes
from healthlake_export.ledger import LedgerItem
from healthlake_export.run_context import RunContext
from local.testing.lake_rows import SILENT, exported_lab, lake_files
from local.testing.range_lab import Lab, patient

# Ids of another run: that there are some makes a run look at every line.
ONE_BY_ONE = replace(SILENT, previous_ids="runs/run-0/ids")

TYPES = ("Patient", "Observation", "Library", "AuditEvent", "Encounter")
INSTANTS = (
    "2026-11-20T09:59:30.000Z",
    "2026-11-20T09:59:30.123456789+00:00",
    "2026-11-20T11:30:00+02:00",
    "2026-11-19T00:00:00Z",
    "2020-01-01T00:00:00Z",
    "2020-01-01T00:00:00",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999Z",
    "1 January",
    "",
)
REFERENCES: tuple[Any, ...] = (
    {"reference": "Patient/p1"},
    [{"reference": "https://example.org/Patient/p2/_history/1"}, {"reference": "Group/1"}],
    [{"who": {"reference": "Patient/p3"}}],
    "Patient/p4",
    None,
)


def line(draw: random.Random, number: int) -> bytes:
    resource: dict[str, Any] = {"resourceType": draw.choice(TYPES), "id": f"é{number}"}
    if draw.random() < 0.9:
        resource["meta"] = {"versionId": str(number), "lastUpdated": draw.choice(INSTANTS)}
    for member in ("subject", "performer", "agent", "link"):
        if draw.random() < 0.3:
            resource[member] = draw.choice(REFERENCES)
    text = json.dumps(resource, ensure_ascii=draw.random() < 0.5).encode()
    spoiled = (b"", text + b"\r", b" " + text, text[:-1], b"{}", text + text, text[:-1] + b',"x":"\xff"}')
    return draw.choice(spoiled) if draw.random() < 0.03 else text


def outcome(content: bytes, size: int, run: RunContext) -> tuple[list[LedgerItem], Any, Any, Any]:
    lab = Lab.holding(content, **{"runs/run-0/ids": b"\xff" * 16})
    pieces = lab.ranges(size)
    entries = lab.process(pieces, run)
    lab.reconcile(pieces, run)
    ids = {key: kept for key, kept in lab.s3.objects.items() if key.startswith("runs/run-1/")}
    tables = {key: pq.read_table(pa.BufferReader(file)) for key, file in lake_files(lab.s3.objects).items()}
    # A file whose rows were held in other pieces may have another size.
    return [replace(one, lake_bytes=0) for one in entries], tables, lab.quarantined(), ids


@pytest.mark.parametrize("seed", range(20))
def test_blocks_come_to_the_same_as_lines(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    lines = [line(draw, number) for number in range(draw.randrange(1, 120))]
    content = b"\n".join(lines) + draw.choice([b"", b"\n"])
    monkeypatch.setattr(object_bytes, "CHUNK_BYTES", draw.choice([97, 700, 1 << 20]))
    monkeypatch.setattr(range_files, "ROW_GROUP_BYTES", draw.choice([1_500, 1 << 24]))
    monkeypatch.setattr(range_files, "_TABLE_BYTES", draw.choice([400, 1 << 20]))
    size = draw.choice([1 << 20, 3_000])
    assert outcome(content, size, SILENT) == outcome(content, size, ONE_BY_ONE)


@pytest.mark.parametrize("instant", INSTANTS)
def test_ids_that_come_again_are_kept_of_blocks_too(instant: str) -> None:
    texts = [
        json.dumps({"resourceType": "Patient", "id": f"p{n}", "meta": {"lastUpdated": instant}}).encode()
        for n in range(3)
    ]
    content = b"\n".join(texts) + b"\n"
    assert outcome(content, 1 << 20, SILENT) == outcome(content, 1 << 20, ONE_BY_ONE)


def test_ids_that_come_again_are_kept_of_a_block_in_which_one_type_is_old() -> None:
    content = b"".join(
        json.dumps({"resourceType": kind, "id": "1", "meta": {"lastUpdated": instant}}).encode() + b"\n"
        for kind, instant in [
            ("Patient", INSTANTS[4]),
            ("Observation", INSTANTS[0]),
            ("Encounter", INSTANTS[4]),
        ]
    )
    assert outcome(content, 1 << 20, SILENT) == outcome(content, 1 << 20, ONE_BY_ONE)


@pytest.fixture
def chunks_before_groups(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], list[int]]:
    """Runs a range in chunks of 1,000 bytes and row groups of 4,000, and returns how many chunks had been
    read when each group was written."""
    monkeypatch.setattr(object_bytes, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(range_files, "ROW_GROUP_BYTES", 4_000)
    read: list[object] = []
    written: list[int] = []
    read_chunk, write_group = object_bytes.ObjectBytes.read, range_files._TypeFile.write

    def note_chunk(self: object_bytes.ObjectBytes, *place: int) -> bytes:
        read.append(place)
        return read_chunk(self, *place)

    def note_group(self: range_files._TypeFile) -> None:
        written.append(len(read))
        write_group(self)

    monkeypatch.setattr(object_bytes.ObjectBytes, "read", note_chunk)
    monkeypatch.setattr(range_files._TypeFile, "write", note_group)

    def process(content: bytes) -> list[int]:
        exported_lab(content)
        return written

    return process


def test_a_row_group_is_written_before_the_chunk_is_read_that_would_not_fit(
    chunks_before_groups: Callable[[bytes], list[int]],
) -> None:
    lines = b"".join(patient(number) + b"\n" for number in range(100))
    assert chunks_before_groups(lines[:8_500])[:2] == [4, 8]


@pytest.mark.parametrize("last", [b"", b"\n"])
def test_the_last_line_is_in_the_row_group_of_those_before_it(
    last: bytes, chunks_before_groups: Callable[[bytes], list[int]]
) -> None:
    lines = b"\n".join(patient(number) for number in range(100, 135)) + last
    assert 3_500 < len(lines) < 4_000
    assert chunks_before_groups(lines) == [4]
