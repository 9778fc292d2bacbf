"""The resources of one datastore in a SQLite file: current versions, and tombstones of deleted ones."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.healthlake.clock import Clock, iso_ms
from local.healthlake.errors import FhirError
from local.healthlake.resource_text import ResourceText

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_updated INTEGER,
    deleted INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (type, id)
);
CREATE INDEX IF NOT EXISTS resources_by_time ON resources (type, last_updated, id);
"""
_COLUMNS = "type, id, version, last_updated, deleted, body"


@dataclass(frozen=True)
class StoredResource:
    """One current version; `last_updated` in milliseconds, None for a resource that was never stamped."""

    resource_type: str
    resource_id: str
    version: int
    last_updated: int | None
    deleted: bool
    text: bytes
    created: bool = False

    @property
    def etag(self) -> str:
        """The weak ETag of FHIR: W/"version"."""
        return f'W/"{self.version}"'


@dataclass(frozen=True)
class Filter:
    """What a search or an export looks for; times in milliseconds as (SQL operator, value)."""

    resource_types: Sequence[str] = ()
    ids: Sequence[str] | None = None
    times: Sequence[tuple[str, int]] = ()
    include_unstamped: bool = False

    def where(self) -> tuple[str, list[object]]:
        """An SQL condition and its parameters."""
        clauses, values = ["deleted = 0"], list[object]()
        for column, wanted in (("type", self.resource_types or None), ("id", self.ids)):
            if wanted is not None:
                clauses.append(f"{column} IN ({','.join('?' * len(wanted))})")
                values += wanted
        bounds = [f"last_updated {operator} ?" for operator, _ in self.times]
        if bounds:
            condition = " AND ".join(bounds)
            clauses.append(
                f"(last_updated IS NULL OR ({condition}))" if self.include_unstamped else condition
            )
            values += [value for _, value in self.times]
        return " AND ".join(clauses), values


class Writer:
    """Writes inside one transaction; made by `ResourceStore.writing`."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def current(self, resource_type: str, resource_id: str) -> tuple[int, bool] | None:
        """Version and deleted mark of what is stored, or None."""
        row = self._connection.execute(
            "SELECT version, deleted FROM resources WHERE type = ? AND id = ?", (resource_type, resource_id)
        ).fetchone()
        return (row[0], bool(row[1])) if row else None

    def put(self, resource: ResourceText, resource_id: str, if_match: int | None = None) -> StoredResource:
        """Store the next version of a resource; FhirError 412 when `if_match` is not the current version."""
        found = self.current(resource.resource_type, resource_id)
        _check_version(found, if_match)
        version = found[0] + 1 if found else 1
        now = self._clock.now_ms()
        text = resource.stamped(resource_id, version, iso_ms(now))
        stored = StoredResource(
            resource.resource_type, resource_id, version, now, False, text, created=not found or found[1]
        )
        self.save(stored)
        return stored

    def delete(self, resource_type: str, resource_id: str, if_match: int | None = None) -> bool:
        """Mark a resource deleted; False when nothing of that id was ever stored."""
        found = self.current(resource_type, resource_id)
        _check_version(found, if_match)
        if found and not found[1]:
            now = self._clock.now_ms()
            self.save(StoredResource(resource_type, resource_id, found[0] + 1, now, True, b""))
        return found is not None

    def save(self, stored: StoredResource) -> None:
        """Write a row as given."""
        self._connection.execute(
            f"INSERT OR REPLACE INTO resources ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 (constant)
            (
                stored.resource_type,
                stored.resource_id,
                stored.version,
                stored.last_updated,
                int(stored.deleted),
                stored.text,
            ),
        )


class Snapshot:
    """The datastore at one moment, whatever is written afterwards."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("BEGIN")
        # SQLite takes the snapshot with the first read, not with BEGIN.
        connection.execute("SELECT 1 FROM resources LIMIT 1").fetchone()

    def read(self, resource_type: str, resource_id: str) -> StoredResource | None:
        """One resource at that moment."""
        return _read(self._connection, resource_type, resource_id)

    def rows(self, wanted: Filter) -> Iterator[tuple[str, str, bytes]]:
        """(type, id, text) of what matches, ordered by type."""
        where, values = wanted.where()
        yield from self._connection.execute(
            f"SELECT type, id, body FROM resources WHERE {where} ORDER BY type, id",  # noqa: S608 (bound)
            values,
        )

    def close(self) -> None:
        """Let go of the moment."""
        self._connection.close()


class ResourceStore:
    """One SQLite file in WAL mode: one writer at a time, any number of readers, safe for threads."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._write_lock = threading.Lock()
        self._pool_lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._writer = self._connect()
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.executescript(_SCHEMA)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """One transaction: committed at the end, undone by an exception.

        The lock is held from the first time stamp to the commit, so no reader ever sees a resource that was
        stamped before one it has seen and committed after it.
        """
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield Writer(self._writer, self._clock)
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def read(self, resource_type: str, resource_id: str) -> StoredResource | None:
        """The current version, a tombstone included, or None."""
        with self._reading() as connection:
            return _read(connection, resource_type, resource_id)

    def find(
        self, wanted: Filter, order: str, after: tuple[int, str] | None, limit: int
    ) -> list[StoredResource]:
        """Up to `limit` matches after a (last_updated, id) cursor; `order` is id, time or -time."""
        where, values = wanted.where()
        descending = order == "-time"
        key = "id" if order == "id" else f"IFNULL(last_updated, 0) {'DESC' if descending else ''}, id"
        if after is not None and order == "id":
            where, values = f"{where} AND id > ?", [*values, after[1]]
        elif after is not None:
            sign = "<" if descending else ">"
            where += f" AND (IFNULL(last_updated, 0) {sign} ? OR (IFNULL(last_updated, 0) = ? AND id > ?))"
            values = [*values, after[0], after[0], after[1]]
        statement = f"SELECT {_COLUMNS} FROM resources WHERE {where} ORDER BY {key} LIMIT ?"  # noqa: S608 (bound)
        with self._reading() as connection:
            return [_stored(row) for row in connection.execute(statement, [*values, limit])]

    def count(self, wanted: Filter) -> int:
        """How many resources match."""
        where, values = wanted.where()
        with self._reading() as connection:
            row = connection.execute(f"SELECT COUNT(*) FROM resources WHERE {where}", values).fetchone()  # noqa: S608
        return int(row[0])

    def counts(self) -> dict[str, int]:
        """Resources by type, deleted ones left out."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT type, COUNT(*) FROM resources WHERE deleted = 0 GROUP BY type ORDER BY type"
            )
            return dict(rows.fetchall())

    def snapshot(self) -> Snapshot:
        """The datastore as it is now; the caller closes it."""
        with self._write_lock:
            return Snapshot(self._connect())

    def close(self) -> None:
        """Close every connection."""
        with self._write_lock, self._pool_lock:
            for connection in [self._writer, *self._readers]:
                connection.close()
            self._readers.clear()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._pool_lock:
            connection = self._readers.pop() if self._readers else self._connect()
        try:
            yield connection
        finally:
            with self._pool_lock:
                self._readers.append(connection)

    def _connect(self) -> sqlite3.Connection:
        # Connections wander between threads, one at a time. A local datastore survives its process, not a
        # power cut, so the disk is not waited for.
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=60)
        connection.execute("PRAGMA synchronous = OFF")
        return connection


def _read(connection: sqlite3.Connection, resource_type: str, resource_id: str) -> StoredResource | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM resources WHERE type = ? AND id = ?",  # noqa: S608 (constant)
        (resource_type, resource_id),
    ).fetchone()
    return _stored(row) if row else None


def _stored(row: tuple[str, str, int, int | None, int, bytes]) -> StoredResource:
    return StoredResource(row[0], row[1], row[2], row[3], bool(row[4]), row[5])


def _check_version(found: tuple[int, bool] | None, if_match: int | None) -> None:
    if if_match is not None and (found is None or found[1] or found[0] != if_match):
        raise FhirError(412, "conflict", "If-Match does not name the current version of the resource.")
