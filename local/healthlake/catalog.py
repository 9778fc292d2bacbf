"""Datastores and jobs of the account, kept in one SQLite file so that they survive a restart."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from local.healthlake.clock import Clock
from local.healthlake.errors import ApiError, not_found
from local.healthlake.store import ResourceStore

ACTIVE = "ACTIVE"
DELETED = "DELETED"


@dataclass(frozen=True)
class Datastore:
    """A FHIR datastore; `settings` are the optional members of CreateFHIRDatastore as given."""

    datastore_id: str
    arn: str
    endpoint: str
    status: str
    created_ms: int
    name: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    client_token: str | None = None

    def properties(self) -> dict[str, Any]:
        """DatastoreProperties of the API reference."""
        described: dict[str, Any] = {
            "DatastoreId": self.datastore_id,
            "DatastoreArn": self.arn,
            "DatastoreStatus": self.status,
            "DatastoreTypeVersion": "R4",
            "DatastoreEndpoint": self.endpoint,
            "CreatedAt": self.created_ms / 1000,
            **self.settings,
        }
        return described if self.name is None else {**described, "DatastoreName": self.name}


def endpoint_of(base_url: str, datastore_id: str) -> str:
    """DatastoreEndpoint: where a datastore's FHIR REST API is served."""
    return f"{base_url.rstrip('/')}/datastore/{datastore_id}/r4/"


class Catalog:
    """The account's datastores with their stores, and saved job records; safe for threads."""

    def __init__(self, directory: Path, clock: Clock, base_url: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._clock = clock
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            directory / "catalog.sqlite", isolation_level=None, check_same_thread=False
        )
        self._connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE IF NOT EXISTS datastores (id TEXT PRIMARY KEY, document BLOB NOT NULL);"
            "CREATE TABLE IF NOT EXISTS jobs"
            " (id TEXT PRIMARY KEY, kind TEXT NOT NULL, document BLOB NOT NULL);"
        )
        rows = self._connection.execute("SELECT document FROM datastores ORDER BY rowid").fetchall()
        decoded = [
            # The port may be another one than last time.
            replace(saved, endpoint=endpoint_of(base_url, saved.datastore_id))
            for saved in (msgspec.json.decode(document, type=Datastore) for (document,) in rows)
        ]
        self._datastores = {datastore.datastore_id: datastore for datastore in decoded}
        self._stores: dict[str, ResourceStore] = {}

    def datastores(self) -> list[Datastore]:
        """Every datastore in order of creation, deleted ones included."""
        with self._lock:
            return list(self._datastores.values())

    def save(self, datastore: Datastore) -> None:
        """Keep a new or changed datastore."""
        with self._lock:
            self._datastores[datastore.datastore_id] = datastore
            self._connection.execute(
                "INSERT INTO datastores VALUES (?, ?) ON CONFLICT (id)"
                " DO UPDATE SET document = excluded.document",
                (datastore.datastore_id, msgspec.json.encode(datastore)),
            )

    def get(self, datastore_id: str) -> Datastore:
        """The datastore; ApiError ResourceNotFoundException when there is none of that id."""
        with self._lock:
            found = self._datastores.get(datastore_id)
        if found is None:
            raise ApiError(
                "ResourceNotFoundException", "DatastoreId does not name a data store of this account."
            )
        return found

    def active(self, datastore_id: str) -> Datastore:
        """The datastore for a FHIR request; FhirError 404 unless it is ACTIVE."""
        with self._lock:
            found = self._datastores.get(datastore_id)
        if found is None or found.status != ACTIVE:
            raise not_found("The data store")
        return found

    def store(self, datastore_id: str) -> ResourceStore:
        """The resources of an active datastore."""
        self.active(datastore_id)
        with self._lock:
            if datastore_id not in self._stores:
                path = self._directory / f"{datastore_id}.sqlite"
                self._stores[datastore_id] = ResourceStore(path, self._clock)
            return self._stores[datastore_id]

    def remove(self, datastore_id: str) -> Datastore:
        """Mark a datastore DELETED and drop its resources."""
        with self._lock:
            deleted = replace(self.get(datastore_id), status=DELETED)
            self.save(deleted)
            store = self._stores.pop(datastore_id, None)
            if store is not None:
                store.close()
            for path in self._directory.glob(f"{datastore_id}.sqlite*"):
                path.unlink()
            return deleted

    def save_job(self, kind: str, job_id: str, document: bytes) -> None:
        """Keep a job record; the first save fixes its place in the order."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO jobs VALUES (?, ?, ?) ON CONFLICT (id)"
                " DO UPDATE SET document = excluded.document",
                (job_id, kind, document),
            )

    def drop_job(self, job_id: str) -> None:
        """Forget a job record."""
        with self._lock:
            self._connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def saved_jobs(self, kind: str) -> list[bytes]:
        """Job records in order of submission."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT document FROM jobs WHERE kind = ? ORDER BY rowid", (kind,)
            ).fetchall()
            return [row[0] for row in rows]

    def clear(self) -> None:
        """Forget everything, as a reset of the local account does."""
        with self._lock:
            for datastore in list(self._datastores.values()):
                self.remove(datastore.datastore_id)
            self._datastores.clear()
            self._connection.executescript("DELETE FROM datastores; DELETE FROM jobs;")

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for store in self._stores.values():
                store.close()
            self._stores.clear()
            self._connection.close()
