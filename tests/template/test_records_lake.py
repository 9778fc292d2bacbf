"""What Athena is told of changes of records: a table that fits its files, and a view of what there is now."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from change_stream.errors import Malformed
from change_stream.item_types import item_types
from change_stream.lake_partitions import LakeRow, Partitions, RowRefusal
from local.athena.projection import in_projection
from local.firehose.column_types import column_type
from local.firehose.conversion import to_parquet
from local.firehose.records import Record, Transformed
from local.firehose.testing import PARQUET
from local.testing.template_reader import Expanded, text


@dataclass(frozen=True)
class Row:
    """A row of the lake; its item tells which one it is."""

    item_id: str = "p"
    sequence_number: str = "100"
    stream_label: str = "2026-11-01T00:00:00.000"
    change: str = "MODIFY"
    sk: str = "PATIENT"
    item_type: str = "Patient"
    dt: str = "2026-11-20-12"
    event_id: str = "e"

    @property
    def name(self) -> str:
        return f"{self.item_type} {self.item_id} {self.sk} {self.sequence_number}"


@pytest.fixture
def table(expanded: Expanded) -> Mapping[str, Any]:
    found: Mapping[str, Any] = expanded.properties("RecordsLakeTable")["TableInput"]
    return found


@pytest.fixture
def view(expanded: Expanded) -> Mapping[str, Any]:
    """The view as Athena decodes it."""
    written = expanded.properties("RecordsCurrentView")["TableInput"]["ViewOriginalText"]
    template, variables = written["Fn::Sub"]
    assert template == "/* Presto View: ${View} */"
    document = variables["View"]["Fn::Base64"]["Fn::Sub"].replace("${LakeDatabase}", "hub")
    decoded: Mapping[str, Any] = json.loads(base64.b64decode(base64.b64encode(document.encode())))
    return decoded


Lake = Callable[[Sequence[Row]], duckdb.DuckDBPyConnection]


@pytest.fixture
def lake(tmp_path: Path, table: Mapping[str, Any]) -> Iterator[Lake]:
    """Makes lakes of files as Firehose writes them, each with the table in a DuckDB of its own."""
    opened: list[duckdb.DuckDBPyConnection] = []
    columns = [(one["Name"], one["Type"]) for one in table["StorageDescriptor"]["Columns"]]

    def filled(rows: Sequence[Row]) -> duckdb.DuckDBPyConnection:
        folder = tmp_path / str(len(opened))
        for number, row in enumerate(rows):
            written = to_parquet(PARQUET, columns, [Transformed(Record("1", 0.0, b""), _text(row))])
            assert written.body is not None
            path = folder / f"item_type={row.item_type}" / f"dt={row.dt}" / f"{number}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(written.body)
        opened.append(duckdb.connect())
        opened[-1].execute(
            f"CREATE VIEW records AS SELECT * FROM read_parquet('{folder}/*/*/*.parquet', "
            "hive_partitioning = true, hive_types = {'item_type': VARCHAR, 'dt': VARCHAR})"
        )
        return opened[-1]

    yield filled
    for connection in opened:
        connection.close()


def _text(row: Row) -> bytes:
    named = {**asdict(row), "event_time": "2026-11-20 12:00:00.000", "item": row.name, "old_item": None}
    return json.dumps(named).encode()


def current(lake: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    return sorted(item for (item,) in lake.execute(f"SELECT item FROM ({sql})").fetchall())


CASES: Mapping[str, tuple[Sequence[Row], Sequence[str]]] = {
    "the last change of each item": (
        [Row(sequence_number="100"), Row(sequence_number="200"), Row("q")],
        ["Patient p PATIENT 200", "Patient q PATIENT 100"],
    ),
    "sequence numbers are numbers": (
        [Row(sequence_number="99"), Row(sequence_number="100")],
        ["Patient p PATIENT 100"],
    ),
    "of 40 digits too": (
        [Row(sequence_number="9" * 39), Row(sequence_number="1" + "0" * 39)],
        [f"Patient p PATIENT 1{'0' * 39}"],
    ),
    "numbers of a later stream are later, however low": (
        [Row(sequence_number="900"), Row(stream_label="2026-11-20T09:00:00.000", sequence_number="20")],
        ["Patient p PATIENT 20"],
    ),
    "what a later stream removed is not there": (
        [Row(sequence_number="900"), Row(stream_label="2026-11-20T09:00:00.000", change="REMOVE")],
        [],
    ),
    "a repeat is no second item": ([Row(), Row()], ["Patient p PATIENT 100"]),
    "a late repeat is no second item": ([Row(), Row(dt="2026-11-20-13")], ["Patient p PATIENT 100"]),
    "what was removed is not there": ([Row(sequence_number="200", change="REMOVE"), Row()], []),
    "what was removed and written again is": (
        [Row(change="REMOVE"), Row(sequence_number="200", change="INSERT")],
        ["Patient p PATIENT 200"],
    ),
    "a change that arrived out of its place changes nothing": (
        [Row(sequence_number="200", dt="2026-11-20-12"), Row(sequence_number="100", dt="2026-11-20-13")],
        ["Patient p PATIENT 200"],
    ),
    "an item is its key's own": (
        [Row(), Row(sk="ADDRESS#1", item_type="Address", sequence_number="200")],
        ["Address p ADDRESS#1 200", "Patient p PATIENT 100"],
    ),
    "an item is its sort key's own": (
        [Row(sk="ADDRESS#1", item_type="Address"), Row(sk="ADDRESS#2", item_type="Address")],
        ["Address p ADDRESS#1 100", "Address p ADDRESS#2 100"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_view_has_the_items_that_there_are(lake: Lake, view: Mapping[str, Any], case: str) -> None:
    rows, expected = CASES[case]
    assert current(lake(rows), view["originalSql"]) == expected


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("lpad(sequence_number, 40, '0')", "sequence_number"),
        ("lpad(sequence_number, 40, '0')", "lpad(sequence_number, 39, '0')"),
        ("'0') DESC", "'0')"),
        ("ORDER BY stream_label DESC, ", "ORDER BY "),
        ("ORDER BY stream_label DESC", "ORDER BY stream_label"),
        ("item_id, sk\n", "item_id\n"),
        (", item_id, sk", ", sk"),
        (" AND change <> 'REMOVE'", ""),
        ("WHERE place = 1 AND", "WHERE"),
    ],
)
def test_a_view_with_a_fault_would_be_found(
    lake: Lake, view: Mapping[str, Any], written: str, instead: str
) -> None:
    written, instead = written.replace("\n", " "), instead.replace("\n", " ")
    assert written in view["originalSql"]
    wrong = view["originalSql"].replace(written, instead)
    assert any(current(lake(rows), wrong) != expected for rows, expected in CASES.values())


def test_the_view_has_the_columns_of_the_table_and_reads_it_in_its_own_database(
    view: Mapping[str, Any], table: Mapping[str, Any], expanded: Expanded, lake: Lake
) -> None:
    kinds = {"string": "varchar", "timestamp": "timestamp"}
    columns = [
        (one["Name"], kinds[one["Type"]])
        for one in (*table["StorageDescriptor"]["Columns"], *table["PartitionKeys"])
    ]
    catalog = expanded.properties("RecordsCurrentView")["TableInput"]["StorageDescriptor"]["Columns"]
    described = lake([Row()]).execute(f"DESCRIBE {view['originalSql']}").fetchall()
    assert [(one["name"], one["type"]) for one in view["columns"]] == columns
    assert [(one["Name"], kinds[one["Type"]]) for one in catalog] == columns
    assert [(name, kind.lower()) for name, kind, *_ in described] == columns
    assert (view["catalog"], view["schema"]) == ("awsdatacatalog", "hub")
    assert re.findall(r"FROM (\w+)", view["originalSql"]) == ["records"]


def test_the_table_has_the_columns_of_a_row(table: Mapping[str, Any]) -> None:
    columns = [one["Name"] for one in table["StorageDescriptor"]["Columns"]]
    assert sorted([*columns, "item_type"]) == sorted(LakeRow.__struct_fields__)
    kinds = {one["Name"]: one["Type"] for one in table["StorageDescriptor"]["Columns"]}
    assert {name for name, kind in kinds.items() if kind != "string"} == {"event_time"}
    assert str(column_type(kinds["event_time"]).arrow) == "timestamp[ms]"


def test_every_reason_for_which_something_is_no_row_stands_in_the_runbook(root: Path) -> None:
    runbook = (root / "docs" / "runbook.md").read_text(encoding="utf-8")
    section = runbook.split("\n### lake-rows-refused\n", 1)[1].split("\n### ", 1)[0]
    told = {
        name
        for row in re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    }
    assert told == {*RowRefusal, *Malformed, "ERROR_RECORD_NOT_READABLE"}


def test_every_declared_type_of_item_is_projected(table: Mapping[str, Any]) -> None:
    assert table["Parameters"]["projection.item_type.values"].split(",") == list(item_types())


def test_every_partition_that_a_row_can_get_is_one_that_athena_looks_into(table: Mapping[str, Any]) -> None:
    now = datetime(2026, 11, 21, 10, 59, tzinfo=UTC)
    parameters = {
        name: text(value).replace("${LakeFirstDay}", "2026-11-01")
        for name, value in table["Parameters"].items()
    }
    partitions = Partitions.until(now, "2026-11-01", item_types())
    assert [key["Name"] for key in table["PartitionKeys"]] == ["item_type", "dt"]
    for hour in (partitions.first, partitions.last, "2026-11-20-23"):
        assert in_projection(parameters, "dt", hour, now), hour
    for hour in ("2026-10-31-23", "2026-11-21-11"):
        assert not in_projection(parameters, "dt", hour, now), hour


def test_firehose_writes_where_the_table_looks(expanded: Expanded, table: Mapping[str, Any]) -> None:
    destination = expanded.properties("LakeRowsStream")["ExtendedS3DestinationConfiguration"]
    written = re.sub(r"!\{partitionKeyFromLambda:(\w+)\}", r"${\1}", destination["Prefix"])
    template = text(table["Parameters"]["storage.location.template"]).replace("${!", "${")
    assert template == f"s3://${{LakeBucket}}/{written}"
    assert not destination["ErrorOutputPrefix"].startswith("records/")
    assert "!{firehose:error-output-type}" in destination["ErrorOutputPrefix"]


def test_both_pipes_leave_out_the_same_items(expanded: Expanded) -> None:
    pipes = expanded.of_type("AWS::Pipes::Pipe").values()
    reading = [one for one in pipes if "RecordsTable" in text(one["Source"])]
    filters = [json.dumps(one["SourceParameters"]["FilterCriteria"], sort_keys=True) for one in reading]
    assert len(filters) == 2
    assert len(set(filters)) == 1


def test_a_file_of_firehose_is_of_parquet_and_of_the_hubs_key(expanded: Expanded) -> None:
    destination = expanded.properties("LakeRowsStream")["ExtendedS3DestinationConfiguration"]
    conversion = destination["DataFormatConversionConfiguration"]
    assert text(conversion["SchemaConfiguration"]["TableName"]) == "${RecordsLakeTable}"
    assert "ParquetSerDe" in conversion["OutputFormatConfiguration"]["Serializer"]
    # AWS refuses compression of files that are converted, and partitions with a smaller buffer.
    assert destination["CompressionFormat"] == "UNCOMPRESSED"
    assert destination["BufferingHints"]["SizeInMBs"] >= 64
    assert text(destination["EncryptionConfiguration"]["KMSEncryptionConfig"]["AWSKMSKeyARN"]) == (
        "${HubKey.Arn}"
    )
