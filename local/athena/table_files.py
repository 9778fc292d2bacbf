"""Which objects are a table's, and the values of its partition keys for each.

Follows the Athena user guide, «Use partition projection with Amazon Athena», «Supported types for partition
projection», «Set up partition projection» (storage.location.template), and Glue's API, «Partition». Values
come from where an object lies, never from what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.athena.projection import in_projection

# The keys of a bucket that begin with a prefix.
List = Callable[[str, str], Iterable[str]]
Table = Mapping[str, Any]


@dataclass(frozen=True)
class TableFile:
    """An object of a table, and its partition's values by name of the key."""

    bucket: str
    key: str
    partition: Mapping[str, str]


def table_files(
    table: Table, partitions: Sequence[Mapping[str, Any]], keys: List, now: datetime | None = None
) -> list[TableFile]:
    """The table's objects: of its projected partitions, of those registered in Glue, or all below its
    location where it has none."""
    names = partition_keys(table)
    parameters = table.get("Parameters") or {}
    if not names:
        return list(_below(table["StorageDescriptor"]["Location"], {}, keys))
    if parameters.get("projection.enabled", "").strip().lower() == "true":
        return list(_projected(table, names, keys, now or datetime.now(UTC)))
    return [
        file
        for partition in partitions
        for file in _below(
            partition["StorageDescriptor"]["Location"],
            dict(zip(names, partition["Values"], strict=True)),
            keys,
        )
    ]


def partition_keys(table: Table) -> list[str]:
    """Names of the table's partition keys, in order."""
    return [key["Name"] for key in table.get("PartitionKeys") or []]


def injected_keys(table: Table) -> list[str]:
    """Names of the partition keys whose values every query must give."""
    parameters = table.get("Parameters") or {}
    return [
        name
        for name in partition_keys(table)
        if parameters.get(f"projection.{name}.type", "").strip().lower() == "injected"
    ]


def _projected(table: Table, names: Sequence[str], keys: List, now: datetime) -> Iterator[TableFile]:
    parameters = table["Parameters"]
    template = parameters.get("storage.location.template") or _hive_template(table, names)
    bucket, path = _bucket_and_path(template)
    pattern = re.compile(
        "".join(
            f"(?P<{part[2:-1]}>[^/]+)" if part.startswith("${") else re.escape(part)
            for part in re.split(r"(\$\{\w+\})", path)
            if part
        )
    )
    for key in keys(bucket, path.partition("${")[0]):
        found = pattern.match(key)
        if found is None or _hidden(key[found.end() :]):
            continue
        values = found.groupdict()
        if all(in_projection(parameters, name, values[name], now) for name in names):
            yield TableFile(bucket, key, values)


def _hive_template(table: Table, names: Sequence[str]) -> str:
    location = table["StorageDescriptor"]["Location"].rstrip("/")
    return "/".join([location, *(f"{name}=${{{name}}}" for name in names)]) + "/"


def _below(location: str, values: Mapping[str, str], keys: List) -> Iterator[TableFile]:
    bucket, path = _bucket_and_path(location)
    for key in keys(bucket, path):
        if not _hidden(key[len(path) :]):
            yield TableFile(bucket, key, values)


def _bucket_and_path(location: str) -> tuple[str, str]:
    bucket, _, path = re.sub(r"^s3a?://", "", location).partition("/")
    return bucket, path if path.endswith("/") or not path else f"{path}/"


def _hidden(relative: str) -> bool:
    """Athena reads no object and no folder whose name begins with an underscore or a dot."""
    return relative.endswith("/") or any(part.startswith(("_", ".")) for part in relative.split("/"))
