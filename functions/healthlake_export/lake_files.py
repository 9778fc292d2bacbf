"""What one byte range adds to the lake: a Parquet file for each resource type that it has rows of.

A byte range of HealthLake's export holds one type. One that holds several has a file of each, and writes the
type with the most text when there is too much to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from common.byte_spans import ByteSpans
from common.units import MEBIBYTE
from healthlake_export.compartment_keys import patient_columns
from healthlake_export.ndjson import Line
from healthlake_export.resource_keys import Meta, ResourceKeys
from healthlake_export.run_context import RunContext
from lake.fhir_files import export_date, file_key
from lake.fhir_schema import FhirRows, viewed_schema
from lake.instants import latest
from lake.parquet_files import ROW_GROUP_BYTES, open_writer
from lake.s3_upload import S3Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from pyarrow.parquet import FileMetaData, ParquetWriter

_NO_META = Meta()

_TABLE_BYTES = MEBIBYTE
"""Text of single lines that becomes a table together."""


class _Lines(NamedTuple):
    """Lines that are held, with their keys and their offsets."""

    texts: list[bytes]
    keys: list[ResourceKeys]
    offsets: list[int]


class Written(NamedTuple):
    """What a byte range has added: `files`, and the rows and bytes that they are found to have."""

    files: int
    rows: int
    bytes: int


class LakeFiles:
    """Takes the rows of one byte range of `run` in the order of their lines.

    `add` and `add_block` hold rows, and `make_room` turns some of them into row groups. Until then a row can
    be left out again. Nothing can be seen in the lake before `complete`.
    """

    def __init__(self, s3: S3Client, bucket: str, run: RunContext, index: int) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._run = run
        self._index = index
        self._types: dict[str, _TypeFile] = {}
        self._emptied: set[str] = set()

    def is_full_with(self, more: int) -> bool:
        """Whether so many bytes more would be too many to hold: a row group's worth, or one line alone."""
        held = sum(file.held_bytes for file in self._types.values())
        return held > 0 and held + more > ROW_GROUP_BYTES

    def add(self, line: Line, keys: ResourceKeys) -> None:
        """Hold the row of a line, which `leave_out` may name by its offset."""
        self._file(keys.resourceType).hold(line.text, keys, line.offset)

    def add_block(self, texts: ByteSpans, keys: Sequence[ResourceKeys]) -> datetime | None:
        """Hold the rows of many lines, none of which will be left out. Returns the instant of the latest
        version, cut to the millisecond; None when one has none."""
        of_types = [
            self._file(resource_type).hold_block(*lines)
            for resource_type, lines in _by_type(texts, keys).items()
        ]
        known = [instant for instant in of_types if instant is not None]
        return max(known) if known and len(known) == len(of_types) else None

    def without(self, resource_type: str) -> None:
        """Take note of a line of this type that is no row. A try before this one may have had rows of the
        type; if this one has none, their file goes."""
        self._emptied.add(resource_type)

    def leave_out(self, offsets: Iterable[int]) -> None:
        """Do not write the rows of the lines at these offsets, which are still held."""
        left_out = frozenset(offsets)
        if left_out:
            for resource_type, file in self._types.items():
                if file.leave_out(left_out):
                    self._emptied.add(resource_type)

    def make_room(self, more: int) -> None:
        """Write rows until so many bytes more can be held, those of the type that holds the most first."""
        while self.is_full_with(more):
            max(self._types.values(), key=lambda file: file.held_bytes).write()

    def complete(self) -> Written:
        """Write what is held and make the files seen, over those of a try before this one."""
        written = [file.complete() for file in self._types.values() if file.has_rows]
        for resource_type in self._emptied:
            if resource_type not in self._types or not self._types[resource_type].has_rows:
                self._s3.delete_object(Bucket=self._bucket, Key=self._key(resource_type))
        return Written(len(written), sum(rows for rows, _ in written), sum(size for _, size in written))

    def abort(self) -> None:
        """Give up whatever is not complete."""
        for file in self._types.values():
            file.abort()

    def _key(self, resource_type: str) -> str:
        return file_key(resource_type, export_date(self._run.started_at), self._run.run_id, self._index)

    def _file(self, resource_type: str) -> _TypeFile:
        file = self._types.get(resource_type)
        if file is None:
            upload = S3Upload(self._s3, self._bucket, self._key(resource_type))
            file = self._types[resource_type] = _TypeFile(upload, self._run.datastore_id, self._run.run_id)
        return file


class _TypeFile:
    """The file of one type: rows that are held as lines, as tables of a few thousand rows, and those that are
    written. A table takes little more memory than its text."""

    def __init__(self, upload: S3Upload, datastore_id: str, run_id: str) -> None:
        self._upload = upload
        self._datastore_id = datastore_id
        self._run_id = run_id
        self._lines = _Lines([], [], [])
        self._line_bytes = 0
        self._tables: list[tuple[pa.Table, Sequence[int]]] = []
        self._writer: ParquetWriter | None = None
        self._footers: list[FileMetaData] = []
        self.held_bytes = 0

    @property
    def has_rows(self) -> bool:
        return bool(self._lines.texts or self._tables) or self._writer is not None

    def hold(self, text: bytes, keys: ResourceKeys, offset: int) -> None:
        self._lines.texts.append(text)
        self._lines.keys.append(keys)
        self._lines.offsets.append(offset)
        self._line_bytes += len(text)
        self.held_bytes += len(text)
        if self._line_bytes >= _TABLE_BYTES:
            self._pack()

    def hold_block(self, texts: ByteSpans, keys: Sequence[ResourceKeys]) -> datetime | None:
        """Hold lines that will not be left out; returns the instant of the latest version."""
        self._pack()
        table = self._table(texts, keys)
        self._tables.append((table, ()))
        self.held_bytes += sum(texts.lengths)
        return latest(table["last_updated"].chunk(0))

    def leave_out(self, offsets: frozenset[int]) -> bool:
        """Drop held rows; returns whether there were any."""
        self._pack()
        before = self.held_bytes
        for number, (table, of_rows) in enumerate(self._tables):
            if not offsets.isdisjoint(of_rows):
                stays = [offset not in offsets for offset in of_rows]
                dropped = table.filter([not staying for staying in stays])
                self.held_bytes -= sum(
                    len(text) for text in dropped["resource"].cast(pa.binary()).to_pylist()
                )
                kept = [offset for offset, staying in zip(of_rows, stays, strict=True) if staying]
                self._tables[number] = (table.filter(stays), kept)
        self._tables = [(table, of_rows) for table, of_rows in self._tables if table.num_rows]
        return self.held_bytes < before

    def write(self) -> None:
        """Write what is held as a row group."""
        self._pack()
        if self._tables:
            rows = pa.concat_tables(_viewed(table) for table, _ in self._tables)
            self._tables = []
            if self._writer is None:
                row_bytes = self.held_bytes // rows.num_rows
                self._writer = open_writer(self._upload, viewed_schema(), self._footers, row_bytes=row_bytes)
            self._writer.write_table(rows, row_group_size=rows.num_rows)
        self.held_bytes = 0

    def complete(self) -> tuple[int, int]:
        """Make the file seen; returns its rows, as its footer counts them, and its bytes."""
        self.write()
        assert self._writer is not None
        self._writer.close()
        self._upload.complete()
        return self._footers[0].num_rows, self._upload.size

    def abort(self) -> None:
        """Give the file up; nothing, for one that is complete."""
        if self._writer is not None:
            self._writer.is_open = False  # it would write a footer when it is collected
        self._upload.abort()

    def _pack(self) -> None:
        if self._lines.texts:
            texts, keys, offsets = self._lines
            self._lines, self._line_bytes = _Lines([], [], []), 0
            self._tables.append((self._table(texts, keys), offsets))

    def _table(self, texts: Sequence[bytes], keys: Sequence[ResourceKeys]) -> pa.Table:
        return fhir_rows(texts, keys).table(self._datastore_id, self._run_id)


def _by_type(
    texts: ByteSpans, keys: Sequence[ResourceKeys]
) -> Mapping[str, tuple[ByteSpans, Sequence[ResourceKeys]]]:
    """The lines of each resource type, with their keys."""
    types = {key.resourceType for key in keys}
    if len(types) == 1:
        return {types.pop(): (texts, keys)}
    lines: dict[str, tuple[list[int], list[int], list[ResourceKeys]]] = {name: ([], [], []) for name in types}
    for begin, end, key in zip(texts.begins, texts.ends, keys, strict=True):
        begins, ends, of_type = lines[key.resourceType]
        begins.append(begin)
        ends.append(end)
        of_type.append(key)
    return {
        name: (ByteSpans(texts.content, begins, ends), of_type)
        for name, (begins, ends, of_type) in lines.items()
    }


def _viewed(table: pa.Table) -> pa.Table:
    """Arrow does not filter views: rows that may be left out become views when they are written."""
    return table if table.schema.equals(viewed_schema()) else table.cast(viewed_schema())


def fhir_rows(texts: Sequence[bytes], keys: Sequence[ResourceKeys]) -> FhirRows:
    """The columns of the rows of these lines."""
    metas = [key.meta or _NO_META for key in keys]
    patients, offsets = patient_columns(keys)
    return FhirRows(
        ids=[key.id for key in keys],
        version_ids=[meta.versionId for meta in metas],
        last_updated=[meta.lastUpdated for meta in metas],
        patients=patients,
        patient_offsets=offsets,
        resources=texts,
    )
