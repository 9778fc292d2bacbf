"""Tables and views of Glue as views of DuckDB, those that a statement names.

A table's objects are laid out in a folder by its partitions, as Hive does, whatever they are called in S3: so
DuckDB reads only the files that the conditions on partition keys leave, and its plan says which conditions
those are. One more level in the paths tells in the plan which table is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local.athena import glue_types
from local.athena.catalog import Catalog, is_view, view_of
from local.athena.errors import QueryFailed
from local.athena.sql_text import names
from local.athena.table_files import TableFile, injected_keys, partition_keys, table_files
from local.athena.trino_sql import translated

RELATION = "$relation"
CATALOG = "awsdatacatalog"


@dataclass(frozen=True)
class ReadTable:
    """A table that a statement may read: its files in the folder, and what they need of its partitions."""

    name: str
    files: Mapping[str, TableFile]
    partition_types: Mapping[str, str]
    injected: tuple[str, ...]


class Relations:
    """The schemas of a connection, and what stands in them."""

    def __init__(self, connection: Any, catalog: Catalog, folder: Path) -> None:
        self._connection = connection
        self._catalog = catalog
        self._folder = folder
        self._known: set[tuple[str, str]] = set()
        self.tables: dict[str, ReadTable] = {}

    def open(self, sql: str, database: str) -> None:
        """Make the catalog's databases schemas, and define what the statement names in them."""
        self._connection.execute(f"ATTACH ':memory:' AS {CATALOG}")
        databases = list(self._catalog.databases())
        for name in databases:
            self._connection.execute(f"CREATE SCHEMA {CATALOG}.{quoted(name)}")
        if database not in databases:
            raise QueryFailed(f"SCHEMA_NOT_FOUND: line 1:1: Schema '{database}' does not exist")
        self._define(sql, database)
        self._resolve_in(database)

    def _resolve_in(self, database: str) -> None:
        """Look names of tables up in the database, and functions where Trino's were defined."""
        path = f"{CATALOG}.{quoted(database)},memory.main"
        self._connection.execute(f"SET search_path = {literal(path)}")

    def _define(self, sql: str, database: str) -> None:
        """Define every table with a name that the text has somewhere: more than it reads does no harm."""
        said = names(sql)
        for schema in self._catalog.databases():
            if schema != database and schema.lower() not in said:
                continue
            for name in self._catalog.tables(schema):
                if name.lower() in said and (schema, name) not in self._known:
                    self._known.add((schema, name))
                    self._define_one(schema, name)

    def _define_one(self, database: str, name: str) -> None:
        table = self._catalog.table(database, name)
        if is_view(table):
            self._define_view(table, database, name)
            return
        relation = self._laid_out(table, database, name)
        self._connection.execute(f"CREATE VIEW {_full(database, name)} AS {relation}")

    def _define_view(self, table: Mapping[str, Any], database: str, name: str) -> None:
        view = view_of(table, database)
        self._define(view.sql, view.schema)
        self._resolve_in(view.schema)
        full = _full(database, name)
        self._connection.execute(f"CREATE VIEW {full} AS {translated(view.sql)}")
        described = self._connection.execute(f"DESCRIBE {full}").fetchall()
        columns = tuple(column[0].lower() for column in described)
        if columns != view.columns:
            raise QueryFailed(
                f"INVALID_VIEW: line 1:15: View '{CATALOG}.{database}.{name}' is stale or in invalid state: "
                f"it has columns {', '.join(columns)}, and says {', '.join(view.columns)}"
            )

    def _laid_out(self, table: Mapping[str, Any], database: str, name: str) -> str:
        """The statement that reads the table out of the folder."""
        _only_parquet(table)
        types = {key["Name"]: glue_types.duckdb_type(key["Type"]) for key in table.get("PartitionKeys") or []}
        columns = [
            (column["Name"], glue_types.duckdb_type(column["Type"]))
            for column in table["StorageDescriptor"]["Columns"]
        ]
        files = table_files(table, self._catalog.partitions(database, name), self._catalog.keys)
        relation = f"{database}.{name}"
        placed = dict(self._place(relation, files, partition_keys(table)))
        self.tables[relation] = ReadTable(relation, placed, types, tuple(injected_keys(table)))
        if not placed:
            none = (
                f"CAST(NULL AS {kind}) AS {quoted(column)}" for column, kind in [*columns, *types.items()]
            )
            return f"SELECT {', '.join(none)} WHERE false"
        return self._read(relation, placed, columns, types)

    def _read(
        self,
        relation: str,
        placed: Mapping[str, TableFile],
        columns: Iterable[tuple[str, str]],
        partition_types: Mapping[str, str],
    ) -> str:
        """The statement that reads the files. A column that none of them has is NULL, as in Athena."""
        hive = ", ".join(
            f"{literal(key)}: {kind}" for key, kind in {RELATION: "VARCHAR", **partition_types}.items()
        )
        paths = ", ".join(map(literal, [*placed, self._never_read(placed)]))
        options = f"union_by_name = true, hive_partitioning = true, hive_types = {{{hive}}}"
        files = f"read_parquet([{paths}], {options})"
        there = {row[0] for row in self._connection.execute(f"DESCRIBE FROM {files}").fetchall()}
        selected = [
            f"CAST({quoted(name) if name in there else 'NULL'} AS {kind}) AS {quoted(name)}"
            for name, kind in columns
        ]
        return (
            f"SELECT {', '.join([*selected, *map(quoted, partition_types)])} FROM {files} "  # noqa: S608 (quoted)
            f"WHERE {quoted(RELATION)} = {literal(relation)}"
        )

    def _never_read(self, placed: Iterable[str]) -> str:
        """A file beside those of the table, without rows. A condition that holds for every file would be left
        out of the plan, and with it which table is meant."""
        first = Path(next(iter(placed))).parent.relative_to(self._folder)
        path = self._folder.joinpath(f"{RELATION}=", *first.parts[1:], "none.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            self._connection.execute(f"COPY (SELECT 1 AS none WHERE false) TO {literal(str(path))}")
        return str(path)

    def _place(
        self, relation: str, files: Iterable[TableFile], keys: Iterable[str]
    ) -> Iterable[tuple[str, TableFile]]:
        for number, file in enumerate(files):
            levels = [(RELATION, relation), *((key, file.partition[key]) for key in keys)]
            path = self._folder.joinpath(
                *(f"{name}={quote(value, safe='')}" for name, value in levels), f"{number}.parquet"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._catalog.read(file.bucket, file.key))
            yield str(path), file


def _only_parquet(table: Mapping[str, Any]) -> None:
    storage = table["StorageDescriptor"]
    if "parquet" not in (storage.get("SerdeInfo") or {}).get("SerializationLibrary", "").lower():
        raise QueryFailed(
            f"HIVE_UNSUPPORTED_FORMAT: the local Athena reads tables of Parquet; {table['Name']} is none"
        )


def _full(database: str, name: str) -> str:
    return f"{CATALOG}.{quoted(database)}.{quoted(name)}"


def quoted(name: str) -> str:
    """The name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"
