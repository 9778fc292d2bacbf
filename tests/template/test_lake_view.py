"""The view of the latest versions: decoded as Athena does, and its SQL run over files as the hub writes them.

The SQL is written so that Trino (Athena's engine) and DuckDB both take it. No page of AWS tells how a view is
kept in the catalog: docs/lake.md says what only AWS's Athena can confirm.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lake.fhir_files import file_key
from lake.fhir_schema import fhir_schema
from lake.parquet_files import open_writer
from local.testing.template_reader import Expanded

TRINO = {"string": "varchar", "timestamp": "timestamp", "array<string>": "array(varchar)"}
DUCKDB = {"timestamp": "TIMESTAMP WITH TIME ZONE", "varchar": "VARCHAR", "array(varchar)": "VARCHAR[]"}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 20, 12, 0, 0, 1000, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A version of a resource in the lake; its text tells which one it is."""

    id: str
    version: str | None = "1"
    updated: datetime | None = NOON
    run: str = "run-a"
    day: str = "2026-11-20"
    kind: str = "Patient"
    datastore: str = "d"

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.id} {self.version} {self.run} {self.datastore}"


def deployed(value: Any) -> str:
    """What CloudFormation makes of the view's text, in a stack whose database is named `hub`."""
    template, variables = value["Fn::Sub"]
    ((name, inner),) = variables.items()
    document = inner["Fn::Base64"]["Fn::Sub"].replace("${LakeDatabase}", "hub")
    encoded = base64.b64encode(document.encode()).decode()
    return str(template.replace(f"${{{name}}}", encoded))


@pytest.fixture
def stored(expanded: Expanded) -> Mapping[str, Any]:
    """The view as the catalog keeps it."""
    found: Mapping[str, Any] = expanded.properties("FhirCurrentView")["TableInput"]
    return found


@pytest.fixture
def view(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """The view as Athena decodes it."""
    found = re.fullmatch(r"/\* Presto View: ([A-Za-z0-9+/=]+) \*/", deployed(stored["ViewOriginalText"]))
    assert found is not None
    decoded: Mapping[str, Any] = json.loads(base64.b64decode(found[1]))
    return decoded


Lake = Callable[[Sequence[Row]], duckdb.DuckDBPyConnection]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """Makes lakes of files as the hub writes them, each with the table in a DuckDB of its own."""
    opened: list[duckdb.DuckDBPyConnection] = []

    def filled(rows: Sequence[Row]) -> duckdb.DuckDBPyConnection:
        folder = tmp_path / str(len(opened))
        for kind, day, run in {(row.kind, row.day, row.run) for row in rows}:
            together = [row for row in rows if (row.kind, row.day, row.run) == (kind, day, run)]
            _write(folder / file_key(kind, day, run, 0), together)
        opened.append(duckdb.connect())
        opened[-1].execute(
            f"CREATE VIEW fhir AS SELECT * FROM read_parquet('{folder}/fhir/*/*/*.parquet', "
            "hive_partitioning = true, hive_types = {'resource_type': VARCHAR, 'export_date': VARCHAR})"
        )
        return opened[-1]

    yield filled
    for connection in opened:
        connection.close()


def _write(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [
        {
            "id": row.id,
            "version_id": row.version,
            "last_updated": row.updated,
            "patient_ids": [row.id],
            "datastore_id": row.datastore,
            "run_id": row.run,
            "resource": row.name,
        }
        for row in rows
    ]
    with open_writer(str(path), fhir_schema()) as writer:
        writer.write_table(pa.Table.from_pylist(values, schema=fhir_schema()))


def latest(lake: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """The text of the rows that a view has, in order."""
    return sorted(text for (text,) in lake.execute(f"SELECT resource FROM ({sql})").fetchall())


def test_the_view_is_one_that_athena_takes_for_its_own(stored: Mapping[str, Any]) -> None:
    assert stored["TableType"] == "VIRTUAL_VIEW"
    assert stored["ViewExpandedText"] == "/* Presto View */"
    assert stored["Parameters"]["presto_view"] == "true"
    # Left out it would be null, which Athena cannot read («AWS::Glue::Table TableInput», CloudFormation).
    assert stored["PartitionKeys"] == []


def test_the_view_reads_the_table_of_its_own_database(view: Mapping[str, Any]) -> None:
    assert set(view) == {"originalSql", "catalog", "schema", "columns"}
    assert (view["catalog"], view["schema"]) == ("awsdatacatalog", "hub")
    assert re.findall(r"FROM ([\w.\"]+)", view["originalSql"]) == ["fhir"]


def test_the_view_has_the_columns_of_the_table(
    view: Mapping[str, Any], stored: Mapping[str, Any], expanded: Expanded
) -> None:
    table = expanded.properties("FhirTable")["TableInput"]
    expected = [
        (one["Name"], one["Type"])
        for one in (*table["StorageDescriptor"]["Columns"], *table["PartitionKeys"])
    ]
    in_catalog = [(one["Name"], one["Type"]) for one in stored["StorageDescriptor"]["Columns"]]
    assert in_catalog == expected
    said = [(one["name"], one["type"]) for one in view["columns"]]
    assert said == [(name, TRINO[kind]) for name, kind in expected]


def test_the_sql_gives_the_columns_that_the_view_says(lake: Lake, view: Mapping[str, Any]) -> None:
    described = lake([Row("a")]).execute(f"DESCRIBE {view['originalSql']}").fetchall()
    said = [(one["name"], DUCKDB[one["type"]]) for one in view["columns"]]
    assert [(name, kind) for name, kind, *_ in described] == said


CASES: Mapping[str, tuple[Sequence[Row], Sequence[str]]] = {
    "of each resource": ([Row("a"), Row("b")], ["Patient/a 1 run-a d", "Patient/b 1 run-a d"]),
    "the time goes before the version": ([Row("a", "2"), Row("a", "1", LATER)], ["Patient/a 1 run-a d"]),
    "versions are numbers": ([Row("a", "9"), Row("a", "10")], ["Patient/a 10 run-a d"]),
    "no version is the oldest": ([Row("a", None), Row("a", "1")], ["Patient/a 1 run-a d"]),
    "a version that is no number is the oldest": ([Row("a", "x"), Row("a", "1")], ["Patient/a 1 run-a d"]),
    "no time is the oldest": ([Row("a", "7", None), Row("a", "1")], ["Patient/a 1 run-a d"]),
    "without time and version": ([Row("a", None, None)], ["Patient/a None run-a d"]),
    "of two days with the same version the later": (
        [Row("a", run="z", day="2026-11-19"), Row("a", run="b", day="2026-11-20")],
        ["Patient/a 1 b d"],
    ),
    "of two runs with the same version one": (
        [Row("a", run="run-a"), Row("a", run="run-b")],
        ["Patient/a 1 run-b d"],
    ),
    "an id is its type's own": (
        [Row("a", "1"), Row("a", "2", kind="Observation")],
        ["Observation/a 2 run-a d", "Patient/a 1 run-a d"],
    ),
    "an id is its datastore's own": (
        [Row("a", "1"), Row("a", "2", datastore="e", run="run-e")],
        ["Patient/a 1 run-a d", "Patient/a 2 run-e e"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_view_has_the_latest_version(lake: Lake, view: Mapping[str, Any], case: str) -> None:
    rows, expected = CASES[case]
    assert latest(lake(rows), view["originalSql"]) == expected


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("try_cast(version_id AS bigint)", "version_id"),
        ("last_updated DESC NULLS LAST, ", ""),
        ("last_updated DESC NULLS LAST", "last_updated DESC NULLS FIRST"),
        ("AS bigint) DESC NULLS LAST", "AS bigint) DESC NULLS FIRST"),
        ("export_date DESC, ", ""),
        (", run_id DESC", ", run_id"),
        ("BY resource_type, datastore_id, id", "BY datastore_id, id"),
        ("BY resource_type, datastore_id, id", "BY resource_type, id"),
    ],
)
def test_a_view_with_a_fault_would_be_found(
    lake: Lake, view: Mapping[str, Any], written: str, instead: str
) -> None:
    assert view["originalSql"].count(written) == 1
    wrong = view["originalSql"].replace(written, instead)
    assert any(latest(lake(rows), wrong) != expected for rows, expected in CASES.values())
