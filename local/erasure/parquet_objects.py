"""Rows of the lake's files. A file that has to lose rows is written again without them: the others as they
were, in their order, row group by row group."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake.parquet_files import ROW_GROUP_BYTES, open_writer
from local.erasure.findings import Findings
from local.erasure.matching import Concern, Match, Matcher
from local.erasure.object_versions import CHUNK_BYTES, VersionBytes, VersionFile

MAGIC = b"PAR1"
"""What a Parquet file begins with (Apache Parquet, «File Format»)."""

_ROWS_AT_ONCE = 512
# The hub's own row groups are smaller, and stay as they are.
_LARGEST_GROUP_BYTES = 2 * ROW_GROUP_BYTES
_TEXT = "resource"
_PATIENTS = "patient_ids"
_RECORD = ("item_id", "item", "old_item")
"""Columns of a change of a record: who it is about, and the item after and before it."""


class NoResources(Exception):
    """The file has no column of resources or items: what it holds is not known here."""


@dataclass(frozen=True)
class FoundRows:
    """What the rows of a file have of the patient, and how many there are."""

    findings: Findings
    rows: int


def is_parquet(content: VersionBytes) -> bool:
    """Whether it is a Parquet file, by its first bytes: Athena names what it writes without an ending."""
    return content.version.size > len(MAGIC) and content.read_range(0, len(MAGIC)) == MAGIC


def find_rows(content: VersionBytes, matcher: Matcher) -> FoundRows:
    """What a file has of the patient. Raises `NoResources`."""
    findings = Findings()
    file = _open(content)
    columns = [name for name in (_PATIENTS, _TEXT, *_RECORD) if name in file.schema_arrow.names]
    for group in range(file.num_row_groups):
        for table in _tables(file, group, columns):
            for _, match in _matches(table, matcher):
                findings.add(match)
    return FoundRows(findings, file.metadata.num_rows)


def as_json(content: VersionBytes) -> Iterator[bytes]:
    """The rows of a file of any columns as texts to be searched: its own bytes, compressed, show nothing."""
    file = pq.ParquetFile(VersionFile(content), buffer_size=CHUNK_BYTES)
    columns = [field.name for field in file.schema_arrow if not pa.types.is_temporal(field.type)]
    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
        yield json.dumps(batch.to_pylist(), default=_text).encode()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def write_without(content: VersionBytes, matcher: Matcher, sink: Any) -> None:
    """Write the file into `sink` without the rows that have to go."""
    file = _open(content)
    writer = open_writer(sink, file.schema_arrow)
    try:
        for group in range(file.num_row_groups):
            held: list[pa.Table] = []
            for table in _tables(file, group):
                held.append(_without(table, matcher))
                if sum(one.nbytes for one in held) >= _LARGEST_GROUP_BYTES:
                    _write(writer, held)
            _write(writer, held)
    finally:
        writer.close()


def _tables(file: pq.ParquetFile, group: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """A row group in pieces: one of another writer may have more than can be held."""
    for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=columns):
        yield pa.Table.from_batches([batch])


def _without(table: pa.Table, matcher: Matcher) -> pa.Table:
    gone = {index for index, match in _matches(table, matcher) if match.erases}
    if not gone:
        return table
    return table.filter(pa.array([index not in gone for index in range(table.num_rows)]))


def _write(writer: pq.ParquetWriter, held: list[pa.Table]) -> None:
    """Write what is held as a row group, and hold nothing."""
    rows = pa.concat_tables(held) if held else None
    if rows is not None and rows.num_rows:
        writer.write_table(rows, row_group_size=rows.num_rows)
    held.clear()


def _open(content: VersionBytes) -> pq.ParquetFile:
    file = pq.ParquetFile(VersionFile(content), buffer_size=CHUNK_BYTES)
    names = file.schema_arrow.names
    if _TEXT not in names and not set(_RECORD) <= set(names):
        raise NoResources
    return file


def _matches(table: pa.Table, matcher: Matcher) -> Iterator[tuple[int, Match]]:
    """Index and match of each row that concerns the patient."""
    if _TEXT not in table.schema.names:
        yield from _matches_of_records(table, matcher)
        return
    texts = table[_TEXT].combine_chunks()
    patients = table[_PATIENTS].combine_chunks() if _PATIENTS in table.schema.names else None
    suspects = pc.or_(
        pc.match_substring(texts, matcher.patient_id), pc.match_substring(texts, r"\u00")
    ).fill_null(False)
    indices = set(pc.indices_nonzero(suspects).to_pylist())
    if patients is not None:
        of_patient = pc.equal(pc.list_flatten(patients), matcher.patient_id)
        indices |= set(pc.list_parent_indices(patients).filter(of_patient).to_pylist())
    for index in sorted(indices):
        named = (patients[index].as_py() if patients is not None else None) or ()
        match = matcher.of_row(named, (texts[index].as_py() or "").encode())
        if match is not None:
            yield index, match


def _matches_of_records(table: pa.Table, matcher: Matcher) -> Iterator[tuple[int, Match]]:
    """As `_matches`, of changes of records: those of the patient's items, and those that name the patient."""
    item_ids, *images = (table[name].to_pylist() for name in _RECORD)
    for index, item_id in enumerate(item_ids):
        if item_id == matcher.patient_id:
            yield index, Match(Concern.COMPARTMENT)
            continue
        text = "\n".join(image[index] or "" for image in images).encode()
        match = matcher.of_text(text) if matcher.suspects(text) else None
        if match is not None:
            yield index, match
