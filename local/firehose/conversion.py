"""Records to one Parquet object with the columns of a Glue table.

AWS documentation: «Convert input data format in Amazon Data Firehose». A record that does not fit is left
out of the object and told with its reason; the others are in it. Text is copied, never parsed: what a column
of type string holds is what the record held, and numbers are read as decimals.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from local.firehose.column_types import ColumnType, Mismatch, column_type
from local.firehose.records import CONVERSION_FAILED, Failure, Transformed

Columns = Sequence[tuple[str, str]]
"""Names and Hive types of a table's columns."""

EMPTY = Failure(
    CONVERSION_FAILED,
    "DataFormatConversion.MalformedData",
    "The record was empty or contained only whitespace.",
)
PRIMITIVE = Failure(
    CONVERSION_FAILED,
    "DataFormatConversion.MalformedData",
    "The input JSON contained a primitive at the top level. The top level must be an object or array.",
)
MALFORMED = Failure(CONVERSION_FAILED, "DataFormatConversion.ParseError", "Encountered malformed JSON.")
MISMATCH = Failure(CONVERSION_FAILED, "DataFormatConversion.MalformedData", "Data does not match the schema.")
NO_TABLE = Failure(
    CONVERSION_FAILED,
    "DataFormatConversion.EntityNotFound",
    "The specified table/database could not be found. Please ensure that the table/database exists and that "
    "the values provided in the schema configuration are correct, especially with regards to casing.",
)

_COMPRESSION = {"GZIP": "gzip", "UNCOMPRESSED": "none", "SNAPPY": "snappy"}


@dataclass(frozen=True)
class Converted:
    """The object, None where no record fits, and the records that are not in it."""

    body: bytes | None
    rows: int
    failed: Sequence[tuple[Transformed, Failure]]


def to_parquet(conversion: Mapping[str, Any], columns: Columns, records: Sequence[Transformed]) -> Converted:
    """One object for all records that fit."""
    types = [(name, column_type(kind)) for name, kind in columns]
    ignoring_case = _ignores_case(conversion)
    rows: list[list[Any]] = []
    failed: list[tuple[Transformed, Failure]] = []
    for record in records:
        found = _rows_of(record.data, types, ignoring_case)
        if isinstance(found, Failure):
            failed.append((record, found))
        else:
            rows += found
    if not rows:
        return Converted(None, 0, failed)
    arrays = [pa.array([row[at] for row in rows], type=kind.arrow) for at, (_, kind) in enumerate(types)]
    written = io.BytesIO()
    schema = pa.schema([(name, kind.arrow) for name, kind in types])
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), written, compression=_compression(conversion))
    return Converted(written.getvalue(), len(rows), failed)


def table_failure(conversion: Mapping[str, Any], failure: Failure, account_id: str, region: str) -> Failure:
    """The failure with the table that the record did not fit."""
    schema = conversion.get("SchemaConfiguration") or {}
    table = {
        "catalogId": schema.get("CatalogId") or account_id,
        "databaseName": schema.get("DatabaseName"),
        "tableName": schema.get("TableName"),
        "region": schema.get("Region") or region,
        "versionId": schema.get("VersionId", "LATEST"),
    }
    return Failure(failure.kind, failure.code, failure.message, more={"dataCatalogTable": table})


def _rows_of(
    data: bytes, types: Sequence[tuple[str, ColumnType]], ignoring_case: bool
) -> list[list[Any]] | Failure:
    """The rows of a record: of one JSON object, or of several after each other."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return MALFORMED
    if not text.strip():
        return EMPTY
    rows = []
    decoder, at = json.JSONDecoder(parse_float=Decimal), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        try:
            document, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return MALFORMED
        if not isinstance(document, dict):
            return MISMATCH if isinstance(document, list) else PRIMITIVE
        fields = {name.lower(): value for name, value in document.items()} if ignoring_case else document
        try:
            rows.append([kind.value(fields.get(name)) for name, kind in types])
        except Mismatch:
            return MISMATCH
    return rows


def _ignores_case(conversion: Mapping[str, Any]) -> bool:
    deserializer = (conversion.get("InputFormatConfiguration") or {}).get("Deserializer") or {}
    return str((deserializer.get("OpenXJsonSerDe") or {}).get("CaseInsensitive", True)).lower() == "true"


def _compression(conversion: Mapping[str, Any]) -> str:
    serializer = (conversion.get("OutputFormatConfiguration") or {}).get("Serializer") or {}
    return _COMPRESSION[(serializer.get("ParquetSerDe") or {}).get("Compression", "SNAPPY")]
