"""The statements of a compaction."""

from __future__ import annotations

from collections.abc import Iterable

COLUMNS = (
    "id, version_id, last_updated, patient_ids, datastore_id, run_id, resource, export_date"  # of fhir_latest
)
# As the view fhir_current has it: a test compares them.
SAME_RESOURCE = "resource_type, datastore_id, id"
LATEST_FIRST = (
    "last_updated DESC NULLS LAST, try_cast(version_id AS bigint) DESC NULLS LAST, "
    "export_date DESC, run_id DESC"
)


def everything(resource_type: str) -> str:
    """The latest version of each resource of the type, out of all files."""
    return f"SELECT {COLUMNS} FROM fhir_current WHERE resource_type = '{resource_type}'"  # noqa: S608 (letters)


def continued(resource_type: str, days: Iterable[str]) -> str:
    """The same out of what the partition holds and the files of some days. Exact where these days have every
    file that the partition does not cover: the latest of all is the latest of what was it before, and the
    rest."""
    named = ", ".join(f"'{day}'" for day in sorted(days))
    columns = f"{COLUMNS}, resource_type"
    of_type = f"WHERE resource_type = '{resource_type}'"
    return (
        f"SELECT {COLUMNS} FROM (SELECT {columns}, "  # noqa: S608 (letters and dates)
        f"row_number() OVER (PARTITION BY {SAME_RESOURCE} ORDER BY {LATEST_FIRST}) AS place "
        f"FROM (SELECT {columns} FROM fhir_latest {of_type} "
        f"UNION ALL SELECT {columns} FROM fhir {of_type} AND export_date IN ({named})) versions) ranked "
        "WHERE place = 1"
    )


def unloaded(select: str, location: str) -> str:
    """The statement that writes the result to a location in S3."""
    return f"UNLOAD ({select}) TO '{location}' WITH (format = 'PARQUET', compression = 'ZSTD')"


def rows_by_type() -> str:
    """How many rows the table holds: Athena reads no column for it."""
    return "SELECT resource_type, count(*) FROM fhir_latest GROUP BY 1"
