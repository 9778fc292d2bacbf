"""The files of one resource type in the lake, and which of them a compaction has covered.

A compaction tells what it has covered by the time of the latest file, by S3's clock, and a digest of all
files up to then. If the files up to that time still have that digest, nothing that was covered has been
changed or removed since, and whatever is later is new. An erasure rewrites files, which changes the digest;
so does a file that shows up late with an earlier time. Then everything is read again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PREFIX = "fhir/"
_TYPE_PREFIX = re.compile(r"fhir/resource_type=([A-Za-z]+)/")
_DATED = re.compile(r"fhir/resource_type=[A-Za-z]+/export_date=(\d{4}-\d{2}-\d{2})/[^/]+")
_UNTIL, _DIGEST = "healthlake-hub.covered-until", "healthlake-hub.covered-digest"


@dataclass(frozen=True)
class SourceFile:
    """An object of the table fhir."""

    key: str
    etag: str
    modified: datetime
    size: int

    @property
    def day(self) -> str:
        """Its export_date."""
        found = _DATED.fullmatch(self.key)
        assert found is not None
        return found[1]


@dataclass(frozen=True)
class Coverage:
    """What a compaction has read: every file up to a time, told by a digest."""

    until: datetime
    digest: str

    def parameters(self) -> dict[str, str]:
        """As parameters of a partition."""
        return {_UNTIL: self.until.isoformat(), _DIGEST: self.digest}

    @classmethod
    def in_parameters(cls, parameters: Mapping[str, str]) -> Coverage | None:
        """What parameters of a partition tell, or None."""
        if _UNTIL not in parameters or _DIGEST not in parameters:
            return None
        return cls(datetime.fromisoformat(parameters[_UNTIL]), parameters[_DIGEST])


@dataclass(frozen=True)
class SourceFiles:
    """All files of a type."""

    files: tuple[SourceFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def coverage(self) -> Coverage | None:
        """What has been covered by whoever reads them all now; None of nothing."""
        if not self.files:
            return None
        until = max(file.modified for file in self.files)
        return Coverage(until, self._digest(until))

    def since(self, coverage: Coverage) -> tuple[SourceFile, ...] | None:
        """The files that came after what was covered; None if that is no longer as it was."""
        if self._digest(coverage.until) != coverage.digest:
            return None
        return tuple(file for file in self.files if file.modified > coverage.until)

    def of_days(self, days: frozenset[str]) -> int:
        """Bytes of the files of those days."""
        return sum(file.size for file in self.files if file.day in days)

    def _digest(self, until: datetime) -> str:
        lines = sorted(f"{file.key} {file.etag}\n" for file in self.files if file.modified <= until)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def types_in(s3: Any, bucket: str) -> list[str]:
    """The resource types that the lake has files of."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX, Delimiter="/")
    found = (
        _TYPE_PREFIX.fullmatch(one["Prefix"]) for page in pages for one in page.get("CommonPrefixes", [])
    )
    return sorted(one[1] for one in found if one)


def source_files(s3: Any, bucket: str, resource_type: str) -> SourceFiles:
    """The files of the type as they are now."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{PREFIX}resource_type={resource_type}/"
    )
    return SourceFiles(
        tuple(
            SourceFile(one["Key"], one["ETag"], one["LastModified"], one["Size"])
            for page in pages
            for one in page.get("Contents", [])
            if _DATED.fullmatch(one["Key"])
        )
    )
