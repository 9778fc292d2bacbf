"""What Glue knows, and the objects in S3, as queries need them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from local.account.ministack_names import ministack
from local.athena.errors import QueryFailed

_VIEW = re.compile(r"/\*\s*Presto View:\s*([A-Za-z0-9+/=\s]+?)\s*\*/")


class Catalog(Protocol):
    """The data catalog and the objects that its tables are made of."""

    def databases(self) -> Iterable[str]: ...
    def tables(self, database: str) -> Iterable[str]: ...
    def table(self, database: str, name: str) -> Mapping[str, Any]: ...
    def partitions(self, database: str, name: str) -> list[Mapping[str, Any]]: ...
    def keys(self, bucket: str, prefix: str) -> list[str]: ...
    def read(self, bucket: str, key: str) -> bytes: ...


@dataclass(frozen=True)
class AccountCatalog:
    """Glue and S3 of the account that this process serves."""

    def databases(self) -> Iterable[str]:
        return list(ministack("ministack.services.glue")._databases)

    def tables(self, database: str) -> Iterable[str]:
        known = list(ministack("ministack.services.glue")._tables)
        return [name.split("/", 1)[1] for name in known if name.startswith(f"{database}/")]

    def table(self, database: str, name: str) -> Mapping[str, Any]:
        table: Mapping[str, Any] = ministack("ministack.services.glue")._tables[f"{database}/{name}"]
        return table

    def partitions(self, database: str, name: str) -> list[Mapping[str, Any]]:
        return list(ministack("ministack.services.glue")._partitions.get(f"{database}/{name}", []))

    def keys(self, bucket: str, prefix: str) -> list[str]:
        found = ministack("ministack.services.s3")._buckets.get(bucket)
        if found is None:
            raise QueryFailed(f"HIVE_METASTORE_ERROR: The specified bucket does not exist (Bucket: {bucket})")
        return sorted(key for key in list(found["objects"]) if key.startswith(prefix))

    def read(self, bucket: str, key: str) -> bytes:
        body: bytes | None = ministack("ministack.services.s3")._get_object_data(bucket, key)
        if body is None:
            raise QueryFailed(
                f"HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://{bucket}/{key}: not found"
            )
        return body

    def write(self, bucket: str, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Put an object; raises QueryFailed where S3 refuses."""
        sent = {**headers, "content-length": str(len(body))}
        status, _, answer = ministack("ministack.services.s3")._put_object(bucket, key, body, sent)
        if status >= 300:
            said = re.search(rb"<Message>(.*?)</Message>", answer)
            why = said[1].decode() if said else status
            raise QueryFailed(f"GENERIC_USER_ERROR: Unable to write s3://{bucket}/{key}: {why}")


@dataclass(frozen=True)
class View:
    """A view as Presto and Trino keep it in a table's ViewOriginalText."""

    sql: str
    schema: str
    columns: tuple[str, ...]


def is_view(table: Mapping[str, Any]) -> bool:
    return table.get("TableType") == "VIRTUAL_VIEW"


def view_of(table: Mapping[str, Any], database: str) -> View:
    """The view that the table says it is; raises QueryFailed where nobody can read it."""
    name = f"awsdatacatalog.{database}.{table['Name']}"
    found = _VIEW.search(table.get("ViewOriginalText") or "")
    if found is None or (table.get("Parameters") or {}).get("presto_view") != "true":
        raise QueryFailed(f"NOT_SUPPORTED: line 1:15: Hive views are not supported: {name}")
    try:
        told = json.loads(base64.b64decode(found[1]))
        columns = tuple(column["name"] for column in told["columns"])
        return View(told["originalSql"], told.get("schema") or database, columns)
    except (ValueError, KeyError):
        raise QueryFailed(f"INVALID_VIEW: line 1:15: Invalid view JSON of {name}") from None
