"""What one would otherwise take to turn NDJSON into Parquet: general tools, each told to use one processor
and Zstandard's fastest level, as the hub does.

Some make columns of everything (`typed`), which changes the digits of decimals and needs resources of one
shape; others keep the text as the hub does, beside five keys, or in the very table that the lake has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.same_table import orjson_same_table, polars_same_table
from bench.same_table_duckdb import duckdb_same_table, duckdb_tuned_same_table
from bench.timed_work import Prepare, Work, main

_KEYS = {
    "resource_type": "$.resourceType",
    "id": "$.id",
    "version_id": "$.meta.versionId",
    "last_updated": "$.meta.lastUpdated",
    "subject": "$.subject.reference",
    "patient": "$.patient.reference",
}
_LONGEST_BLOCK = 16 * 1024 * 1024
_ROWS = 16_384


def pyarrow_typed(given: Path, folder: Path) -> Work:
    """pyarrow.json with the types that it finds."""
    from pyarrow import json, parquet

    options = json.ReadOptions(use_threads=False, block_size=_LONGEST_BLOCK)

    def work() -> None:
        table = json.read_json(given, read_options=options)
        parquet.write_table(table, folder / "pyarrow.parquet", compression="zstd", compression_level=1)

    return work


def duckdb_typed(given: Path, folder: Path) -> Work:
    """DuckDB's COPY with the types that it finds."""
    return _duckdb(f"select * from read_ndjson_auto('{given}', {_LARGE})", folder)


def duckdb_text(given: Path, folder: Path) -> Work:
    """DuckDB's COPY with the text and its keys, found in one pass over it."""
    columns = ", ".join(f"keys[{number}] as {name}" for number, name in enumerate(_KEYS, start=1))
    paths = list(_KEYS.values())
    found = (
        f"select json_extract_string(json, {paths}) as keys, json::varchar as resource "
        f"from read_ndjson_objects('{given}', {_LARGE})"
    )
    return _duckdb(f"select {columns}, resource from ({found})", folder)


_LARGE = f"maximum_object_size={_LONGEST_BLOCK}"


def _duckdb(query: str, folder: Path) -> Work:
    import duckdb

    connection = duckdb.connect()
    connection.execute("set threads = 1")
    options = "format parquet, compression zstd, compression_level 1"
    return lambda: connection.execute(f"copy ({query}) to '{folder / 'duckdb.parquet'}' ({options})")


def polars_typed(given: Path, folder: Path) -> Work:
    """polars, streaming, with the types of as many lines as it looks at to find them."""
    polars = _polars()
    return lambda: _sink(polars.scan_ndjson(given), folder)


def polars_text(given: Path, folder: Path) -> Work:
    """polars, streaming, with the text and its keys."""
    polars = _polars()

    def work() -> None:
        line = polars.col("resource")
        keys = [line.str.json_path_match(path).alias(name) for name, path in _KEYS.items()]
        _sink(polars.scan_lines(given, name="resource").with_columns(keys), folder)

    return work


def _polars() -> Any:
    os.environ["POLARS_MAX_THREADS"] = "1"
    import polars

    return polars


def _sink(frame: Any, folder: Path) -> None:
    frame.sink_parquet(folder / "polars.parquet", compression="zstd", compression_level=1)


def json_typed(given: Path, folder: Path) -> Work:
    """The standard library's json, and a table of all resources with the types that Arrow finds."""
    import json

    return _typed_by(json.loads, given, folder)


def orjson_typed(given: Path, folder: Path) -> Work:
    """The same with orjson."""
    import orjson

    return _typed_by(orjson.loads, given, folder)


def _typed_by(loads: Callable[[bytes], Any], given: Path, folder: Path) -> Work:
    import pyarrow as pa
    from pyarrow import parquet

    def work() -> None:
        with given.open("rb") as lines:
            table = pa.Table.from_pylist([loads(line) for line in lines])
        parquet.write_table(table, folder / "pylist.parquet", compression="zstd", compression_level=1)

    return work


def orjson_text(given: Path, folder: Path) -> Work:
    """A program of some lines: orjson, and the text and its keys in batches."""
    import orjson
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(name, pa.string()) for name in (*_KEYS, "resource")])

    def work() -> None:
        with (
            given.open("rb") as lines,
            parquet.ParquetWriter(
                folder / "orjson.parquet", schema, compression="zstd", compression_level=1
            ) as writer,
        ):
            for batch in _batches(lines):
                rows = [_keys_of(orjson.loads(line)) for line in batch]
                columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
                texts = pa.array([line.rstrip() for line in batch], pa.binary()).cast(pa.string())
                writer.write_table(pa.table([*columns, texts], schema=schema))

    return work


def _batches(lines: Iterable[bytes]) -> Iterable[list[bytes]]:
    batch: list[bytes] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _keys_of(resource: dict[str, Any]) -> tuple[str | None, ...]:
    meta = resource.get("meta", {})
    return (
        resource["resourceType"],
        resource["id"],
        meta.get("versionId"),
        meta.get("lastUpdated"),
        resource.get("subject", {}).get("reference"),
        resource.get("patient", {}).get("reference"),
    )


TOOLS: dict[str, Prepare] = {
    "pyarrow.json, typed": pyarrow_typed,
    "DuckDB COPY, typed": duckdb_typed,
    "DuckDB COPY, text and keys": duckdb_text,
    "DuckDB COPY, the lake's table": duckdb_same_table,
    "DuckDB COPY, the lake's table, tuned": duckdb_tuned_same_table,
    "polars sink, typed": polars_typed,
    "polars sink, text and keys": polars_text,
    "polars sink, the lake's table": polars_same_table,
    "json + from_pylist, typed": json_typed,
    "orjson + from_pylist, typed": orjson_typed,
    "orjson + pyarrow, text and keys": orjson_text,
    "orjson + pyarrow, the lake's table": orjson_same_table,
}

if __name__ == "__main__":
    main(TOOLS, sys.argv[1:])
