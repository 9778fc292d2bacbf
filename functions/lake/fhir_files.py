"""Names of the lake's files of FHIR resources.

    fhir/resource_type=Patient/export_date=2026-11-20/<run>-<index of the byte range>.parquet

The names follow from the run and the byte range alone, so that a retry overwrites its own file. The partition
keys are written as Hive does, which Athena's partition projection, DuckDB, pyarrow and polars read.
"""

from __future__ import annotations

PREFIX = "fhir/"


def export_date(started_at: str) -> str:
    """The day of a run that started at this instant in UTC, whenever its files are written."""
    return started_at[: len("2026-11-20")]


def file_key(resource_type: str, day: str, run_id: str, index: int) -> str:
    """Key of the file with the rows of one type that one byte range of a run came to."""
    return f"{PREFIX}resource_type={resource_type}/export_date={day}/{run_id}-{index:06d}.parquet"
