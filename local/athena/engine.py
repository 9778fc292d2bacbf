"""One query, from its text to its result, in a DuckDB of its own."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from local.athena.catalog import Catalog
from local.athena.errors import MalformedQuery, QueryFailed, ScanLimitExceeded, failed, malformed
from local.athena.relations import Relations, literal
from local.athena.result_values import column_info, column_name, value_text
from local.athena.scans import scanned_bytes
from local.athena.sql_text import meaningful
from local.athena.trino_sql import teach, translated
from local.athena.unload import Unload, unload_of

_INSIST_SECONDS = 0.05
_NOT_RUN_HERE = ("show", "describe", "explain")
"""DuckDB would answer with tables and plans of its own."""

# Puts an object: bucket, key, body.
Put = Callable[[str, str, bytes], None]


@dataclass
class Answer:
    """Columns and rows of text; for UNLOAD the objects it wrote instead."""

    columns: list[dict[str, Any]] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


class Query:
    """A statement that can be run once, and interrupted from another thread while it runs."""

    def __init__(self, sql: str, database: str, catalog: Catalog, put: Put) -> None:
        self._sql = sql
        self._database = database
        self._catalog = catalog
        self._put = put
        self._connection: Any = None
        self._lock = threading.Lock()
        self.interrupted = False
        self.scanned = 0

    def run(self, scan_limit: int | None) -> Answer:
        """The answer. Raises QueryFailed, or ScanLimitExceeded before anything is read."""
        folder = Path(tempfile.mkdtemp(prefix="athena-"))
        try:
            with duckdb.connect(":memory:") as connection, self._interruptible(connection):
                return self._run(connection, folder, scan_limit)
        except duckdb.InterruptException:
            raise QueryFailed("interrupted") from None
        except duckdb.Error as error:
            raise failed(error, self._sql, self._database, self._catalog.databases()) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def interrupt(self) -> None:
        """Let the query end as soon as it can."""
        self.interrupted = True
        threading.Thread(target=self._insist, name="interrupt", daemon=True).start()

    def _insist(self) -> None:
        """DuckDB forgets an interruption that comes before the statement begins."""
        while True:
            with self._lock:
                if self._connection is None:
                    return
                self._connection.interrupt()
            time.sleep(_INSIST_SECONDS)

    def _interruptible(self, connection: Any) -> _Interruptible:
        return _Interruptible(self, connection)

    def _run(self, connection: Any, folder: Path, scan_limit: int | None) -> Answer:
        unload = unload_of(self._sql)
        if any(word.text.lower() in _NOT_RUN_HERE for word in meaningful(self._sql)[:1]):
            raise QueryFailed("NOT_SUPPORTED: The local Athena runs SELECT and UNLOAD, and describes nothing")
        select = unload.select if unload else self._sql
        teach(connection)
        relations = Relations(connection, self._catalog, folder / "tables")
        relations.open(select, self._database)
        _confine(connection, folder)
        statement = translated(select)
        self.scanned = scanned_bytes(connection, statement, relations.tables)
        if scan_limit is not None and self.scanned > scan_limit:
            raise ScanLimitExceeded
        if self.interrupted:
            raise QueryFailed("interrupted")
        if unload:
            return Answer(written=self._unload(connection, unload, statement, folder))
        result = connection.execute(statement)
        columns = [
            column_info(column_name(name, index, self._sql), str(kind))
            for index, (name, kind, *_) in enumerate(result.description)
        ]
        return Answer(columns, [[value_text(value) for value in row] for row in result.fetchall()])

    def _unload(self, connection: Any, unload: Unload, statement: str, folder: Path) -> list[str]:
        if any(True for _ in self._catalog.keys(unload.bucket, unload.prefix)):
            raise QueryFailed(
                "HIVE_PATH_ALREADY_EXISTS: Target directory for the unload already exists: "
                f"s3://{unload.bucket}/{unload.prefix}"
            )
        path = folder / "unloaded"
        compression = "UNCOMPRESSED" if unload.compression == "NONE" else unload.compression
        rows = connection.execute(
            f"COPY ({statement}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION {compression})"
        ).fetchone()[0]
        if not rows:
            return []
        # Trino's writers name their files by query, number and chance, without an ending.
        name = f"{datetime.now(UTC):%Y%m%d_%H%M%S}_00000_{uuid.uuid4().hex[:5]}_{uuid.uuid4()}"
        self._put(unload.bucket, unload.prefix + name, path.read_bytes())
        return [f"s3://{unload.bucket}/{unload.prefix}{name}"]


class _Interruptible:
    def __init__(self, query: Query, connection: Any) -> None:
        self._query = query
        self._connection = connection

    def __enter__(self) -> None:
        with self._query._lock:
            self._query._connection = self._connection

    def __exit__(self, *_: object) -> None:
        with self._query._lock:
            self._query._connection = None


def assert_well_formed(sql: str) -> None:
    """Raise MalformedQuery for text that Athena does not take: no SQL, nothing, or several statements."""
    unload = unload_of(sql)
    text = unload.select if unload else sql
    try:
        with duckdb.connect(":memory:") as connection:
            # Lambdas are parsed as this is set.
            connection.execute("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")
            statements = connection.extract_statements(translated(text))
    except duckdb.Error as error:
        raise malformed(error, text) from None
    if len(statements) != 1:
        raise MalformedQuery(
            "Only one sql statement is allowed." if statements else "line 1:1: mismatched input '<EOF>'"
        )


def _confine(connection: Any, folder: Path) -> None:
    """A query reads tables and nothing else of this machine."""
    connection.execute(f"SET allowed_directories = [{literal(str(folder))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
