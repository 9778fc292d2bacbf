"""Partitions of tables in the local Athena that the hub's own tables do not have, and types of Glue."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Thread
from time import sleep
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.athena.engine import Query
from local.athena.errors import QueryFailed
from local.athena.glue_types import duckdb_type
from local.athena.projection import in_projection
from local.testing.patience import PATIENCE_SECONDS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Memory:
    """A catalog with one database and one table, whose objects are in memory."""

    stored: Mapping[str, Any]
    objects: dict[str, bytes] = field(default_factory=dict)

    def databases(self) -> Iterable[str]:
        return ["lake"]

    def tables(self, database: str) -> Iterable[str]:
        return [self.stored["Name"]]

    def table(self, database: str, name: str) -> Mapping[str, Any]:
        return self.stored

    def partitions(self, database: str, name: str) -> list[Mapping[str, Any]]:
        return []

    def keys(self, bucket: str, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def read(self, bucket: str, key: str) -> bytes:
        return self.objects[key]


def table(keys: Mapping[str, str], **projection: str) -> dict[str, Any]:
    return {
        "Name": "t",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {
            "projection.enabled": "true",
            **{f"projection.{name}": value for name, value in projection.items()},
        },
        "StorageDescriptor": {
            "Location": "s3://bucket/t/",
            "Columns": [{"Name": "v", "Type": "bigint"}],
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
            },
        },
        "PartitionKeys": [{"Name": name, "Type": kind} for name, kind in keys.items()],
    }


def file(value: int) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"v": [value]}), sink)
    return sink.getvalue()


def ask(catalog: Memory, sql: str) -> list[list[str | None]]:
    def put(*_: object) -> None:
        raise AssertionError

    return Query(sql, "lake", catalog, put).run(None).rows


@pytest.fixture
def of_devices() -> Memory:
    stored = table({"device": "string"}, **{"device.type": "injected"})
    return Memory(stored, {f"t/device={name}/f": file(n) for n, name in enumerate(["a", "b", "o'c"])})


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("select v from t where device = 'b'", ["1"]),
        ("select v from t where device in ('a', 'b') order by 1", ["0", "1"]),
        ("select v from (select * from t) where device = 'a'", ["0"]),
    ],
)
def test_an_injected_key_takes_its_values_from_the_query(
    of_devices: Memory, sql: str, values: list[str]
) -> None:
    assert ask(of_devices, sql) == [[value] for value in values]


@pytest.mark.parametrize(
    "sql", ["select v from t", "select v from t where device > 'a'", "select v from t where v = 1"]
)
def test_an_injected_key_without_a_value_fails_the_query(of_devices: Memory, sql: str) -> None:
    with pytest.raises(
        QueryFailed, match="CONSTRAINT_VIOLATION: For the injected projected partition column device"
    ):
        ask(of_devices, sql)


def test_partition_keys_have_the_types_of_the_table() -> None:
    stored = table(
        {"day": "date"}, **{"day.type": "date", "day.format": "yyyy-MM-dd", "day.range": "2026-01-01,NOW"}
    )
    catalog = Memory(stored, {"t/day=2026-02-01/f": file(1), "t/day=2026-03-01/f": file(2)})
    assert ask(catalog, "select v, day from t where day >= date '2026-02-15'") == [["2", "2026-03-01"]]


@pytest.mark.parametrize("seconds", [0, 0.5], ids=["before it begins", "while it runs"])
def test_a_query_can_be_interrupted(of_devices: Memory, seconds: float) -> None:
    endless = "select count(*) from range(10000000) a, range(10000000) b where a.range * b.range = 7"
    query = Query(endless, "lake", of_devices, lambda *_: None)
    ended: list[Exception] = []

    def run() -> None:
        try:
            query.run(None)
        except QueryFailed as error:
            ended.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    sleep(seconds)
    query.interrupt()
    thread.join(PATIENCE_SECONDS)
    assert [str(error) for error in ended] == ["interrupted"]


DAYS = {
    "projection.d.type": "date",
    "projection.d.format": "yyyy-MM-dd",
    "projection.d.range": "NOW-7DAYS,NOW",
}
HOURS = {
    "projection.d.type": "date",
    "projection.d.format": "yyyy/MM/dd/HH",
    "projection.d.range": "2026/11/01/00,NOW+1HOUR",
}
NUMBERS = {"projection.d.type": "integer", "projection.d.range": "-2,5"}
NAMES = {"projection.d.type": " Enum ", "projection.d.values": "a,b"}


@pytest.mark.parametrize(
    ("parameters", "value", "projected"),
    [
        (DAYS, "2026-11-20", True),
        (DAYS, "2026-11-13", True),
        (DAYS, "2026-11-12", False),
        (DAYS, "2026-11-21", False),
        (DAYS, "no day", False),
        (HOURS, "2026/11/20/13", True),
        (HOURS, "2026/11/20/14", False),
        (NUMBERS, "-2", True),
        (NUMBERS, "6", False),
        (NUMBERS, "x", False),
        (NAMES, "b", True),
        (NAMES, "c", False),
    ],
)
def test_a_value_is_projected_or_not(parameters: Mapping[str, str], value: str, projected: bool) -> None:
    assert in_projection(parameters, "d", value, NOON) is projected


def test_a_key_without_its_properties_fails_the_query() -> None:
    with pytest.raises(QueryFailed, match=r"projection.d.type"):
        in_projection({}, "d", "x", NOON)
    with pytest.raises(QueryFailed, match=r"projection.d.range is missing"):
        in_projection({"projection.d.type": "integer"}, "d", "1", NOON)


@pytest.mark.parametrize(
    ("glue", "duckdb_name"),
    [
        ("string", "VARCHAR"),
        ("varchar(20)", "VARCHAR"),
        ("decimal(10,2)", "DECIMAL(10,2)"),
        ("array<string>", "VARCHAR[]"),
        ("map<string,array<bigint>>", "MAP(VARCHAR, BIGINT[])"),
        ("array<struct<a:string,b:map<string,int>>>", 'STRUCT("a" VARCHAR, "b" MAP(VARCHAR, INTEGER))[]'),
    ],
)
def test_a_type_of_glue_has_its_like_in_duckdb(glue: str, duckdb_name: str) -> None:
    assert duckdb_type(glue) == duckdb_name
