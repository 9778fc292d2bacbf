"""Generations of the table fhir_latest: finished sets of files, one of which a partition points at.

    current/resource_type=Patient/20261121T004343Z-1f0c9a2b/

Nobody writes into a generation once it is finished. A partition changes from one to the next in one call, so
a query reads one or the other. Those that nobody can be reading any longer are deleted: all whose successor,
by name, began long enough ago that the query which was then running has ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

PREFIX = "current/"
_NAME = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")
_TIME = "%Y%m%dT%H%M%SZ"
# «Service Quotas»: a query runs for 30 minutes, or for 240 where the account's quota was raised to the most.
# The partition changes after the query that writes the successor, which takes as long again.
GRACE = timedelta(hours=9)
_AT_ONCE = 1000


def generation_name(began: datetime, chance: str) -> str:
    """The name of a generation that is begun at that time; `chance` is eight hexadecimal digits."""
    return f"{began.astimezone(UTC).strftime(_TIME)}-{chance}"


def prefix_of(resource_type: str, generation: str = "") -> str:
    """Where the files of the type lie, or those of one generation."""
    below = f"{generation}/" if generation else ""
    return f"{PREFIX}resource_type={resource_type}/{below}"


def outdated(names: Iterable[str], current: str | None, now: datetime) -> list[str]:
    """The generations that can go. One that nothing follows stays, and so does the one that is in use; what
    is not named like a generation is not one."""
    ordered = sorted(name for name in names if _NAME.fullmatch(name))
    return [
        name for name, successor in pairwise(ordered) if name != current and _began(successor) < now - GRACE
    ]


def _began(name: str) -> datetime:
    return datetime.strptime(name.split("-")[0], _TIME).replace(tzinfo=UTC)


@dataclass(frozen=True)
class Generations:
    """The generations of every type in the lake's bucket."""

    s3: Any
    bucket: str

    def location(self, resource_type: str, generation: str) -> str:
        """Where it lies, as partitions say it."""
        return f"s3://{self.bucket}/{prefix_of(resource_type, generation)}"

    def name_in(self, resource_type: str, location: str) -> str | None:
        """The generation that lies there, or None for a location that is of none."""
        base = self.location(resource_type, "").rstrip("/") + "/"
        name = location.removeprefix(base).rstrip("/")
        return name if location.startswith(base) and _NAME.fullmatch(name) else None

    def names(self, resource_type: str) -> list[str]:
        """Every generation of which there are files."""
        base = prefix_of(resource_type)
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=base, Delimiter="/"
        )
        return [
            one["Prefix"].removeprefix(base).rstrip("/")
            for page in pages
            for one in page.get("CommonPrefixes", [])
        ]

    def size(self, resource_type: str, generation: str) -> int:
        """Bytes of its files."""
        return sum(size for _, size in self._objects(resource_type, generation))

    def delete(self, resource_type: str, generation: str, tell: Callable[[str], None]) -> None:
        """Delete its files; versions go with the bucket's lifecycle."""
        keys = [key for key, _ in self._objects(resource_type, generation)]
        for begin in range(0, len(keys), _AT_ONCE):
            tell(f"deleting {generation}")
            batch = [{"Key": key} for key in keys[begin : begin + _AT_ONCE]]
            self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})

    def _objects(self, resource_type: str, generation: str) -> Iterable[tuple[str, int]]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix_of(resource_type, generation)
        )
        for page in pages:
            yield from ((one["Key"], one["Size"]) for one in page.get("Contents", []))
