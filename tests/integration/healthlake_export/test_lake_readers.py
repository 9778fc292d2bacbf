"""The lake's files as DuckDB, pyarrow and polars read them, with the partition keys from their names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from local.testing.lake_rows import exported_lab, lake_rows, write_files
from local.testing.line_mutations import resource_lines

POLARS = Path(__file__).parents[3] / ".cache" / "bench" / "bin" / "python"
EXACT = (
    b'{"resourceType":"Observation","id":"exact","valueQuantity":{"value":1.10},'
    b'"component":[1e400,9007199254740993]}'
)


def test_a_decimal_keeps_its_digits_to_a_query(tmp_path: Path) -> None:
    files = write_files(exported_lab(EXACT + b"\n").s3.objects, tmp_path)
    found = queried(
        rf"""SELECT resource, regexp_extract(resource, '"value":([^,}}]+)', 1)
             FROM read_parquet('{files}/**/*.parquet', hive_partitioning = true)
             WHERE resource_type = 'Observation'"""
    )
    assert found == [(EXACT.decode(), "1.10")]


def queried(sql: str) -> list[tuple[Any, ...]]:
    return duckdb.connect().execute(sql).fetchall()


def duckdb_rows(files: Path) -> list[list[Any]]:
    return [
        list(row)
        for row in queried(
            f"""SELECT resource_type, export_date::varchar, id, version_id, epoch_ms(last_updated),
                       patient_ids, datastore_id, run_id, resource
                FROM read_parquet('{files}/**/*.parquet', hive_partitioning = true)"""
        )
    ]


def pyarrow_rows(files: Path) -> list[list[Any]]:
    partitions = pa.schema([("resource_type", pa.string()), ("export_date", pa.string())])
    table = ds.dataset(files, partitioning=ds.partitioning(partitions, flavor="hive")).to_table()
    at = table.schema.get_field_index("last_updated")
    table = table.set_column(at, "last_updated", table["last_updated"].cast(pa.int64()))
    return [[row[name] for name in NAMES] for row in table.to_pylist()]


def polars_rows(files: Path) -> list[list[Any]]:
    if not POLARS.exists():
        pytest.skip(f"polars is not installed in {POLARS.parents[1]}: run `make .cache/bench/.installed`")
    finished = subprocess.run(
        [POLARS, "-c", READ_WITH_POLARS, str(files), *NAMES], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    rows: list[list[Any]] = json.loads(finished.stdout)
    return rows


NAMES = (
    "resource_type",
    "export_date",
    "id",
    "version_id",
    "last_updated",
    "patient_ids",
    "datastore_id",
    "run_id",
    "resource",
)
READ_WITH_POLARS = """
import json, sys
import polars
files, *names = sys.argv[1:]
frame = polars.read_parquet(f"{files}/**/*.parquet", hive_partitioning=True)
frame = frame.with_columns(polars.col("last_updated").dt.epoch("ms"), polars.col("export_date").cast(str))
print(json.dumps([list(row) for row in frame.select(names).rows()]))
"""


@pytest.mark.parametrize("read", [duckdb_rows, pyarrow_rows, polars_rows])
def test_every_engine_reads_rows_and_partitions(
    read: Callable[[Path], list[list[Any]]], tmp_path: Path
) -> None:
    lines = [*resource_lines(300), EXACT, b'{"resourceType":"Basic","id":"no meta"}']
    objects = exported_lab(b"\n".join(lines), 60_000).s3.objects
    expected = [
        ["2026-11-20" if name == "export_date" else in_milliseconds(row[name]) for name in NAMES]
        for row in lake_rows(objects)
    ]
    assert sorted(read(write_files(objects, tmp_path)), key=repr) == sorted(expected, key=repr)
    assert len(expected) == len(lines)


def in_milliseconds(value: Any) -> Any:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value
