"""What the lake's files hold, read back as whoever queries them does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lake.fhir_files import PREFIX
from local.testing.range_lab import RUN, Lab

SILENT = replace(RUN, events=False)
"""A run that publishes nothing."""


def exported_lab(content: bytes, size: int = 1 << 20) -> Lab:
    """The lab after a run over an export of `content`, in ranges of `size` bytes, that added up."""
    lab = Lab.holding(content)
    pieces = lab.ranges(size)
    lab.process(pieces, SILENT)
    lab.reconcile(pieces, SILENT)
    return lab


def lake_files(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of `objects` that are files of FHIR resources, in the order of their names."""
    return {key: objects[key] for key in sorted(objects) if key.startswith(PREFIX)}


def resource_type_of(key: str) -> str:
    """The partition that a file is in."""
    return key.split("resource_type=")[1].split("/")[0]


def lake_rows(objects: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The rows of all files, in the order of their names, with the type that the name says."""
    return [
        {"resource_type": resource_type_of(key), **row}
        for key, content in lake_files(objects).items()
        for row in pq.read_table(pa.BufferReader(content)).to_pylist()
    ]


def lake_texts(objects: Mapping[str, bytes]) -> dict[str, list[bytes]]:
    """The column `resource` over all files of each type."""
    texts = defaultdict(list)
    for row in lake_rows(objects):
        texts[row["resource_type"]].append(row["resource"].encode())
    return dict(texts)


def write_files(objects: Mapping[str, bytes], directory: Path) -> Path:
    """Write the files below `directory`, as they lie in the bucket, and return where they begin."""
    for key, content in lake_files(objects).items():
        path = directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory / PREFIX
