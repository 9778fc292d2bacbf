"""Changes of records in a deployed lake, in files as Firehose writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from local.cli.operations.hub import DeployedHub
from local.firehose.conversion import to_parquet
from local.firehose.records import Record, Transformed
from local.firehose.testing import PARQUET

HOUR = "2026-11-20-12"


@dataclass(frozen=True)
class RecordRow:
    """A change of an item; `item` is its text after it, None when it was removed."""

    item_id: str
    item_type: str
    sk: str
    sequence_number: str
    item: str | None


def write_changes(hub: DeployedHub, rows: Iterable[RecordRow], hour: str = HOUR) -> None:
    """Put one file for each type of item into the lake."""
    listed = list(rows)
    glue = hub.client("glue")
    table = glue.get_table(DatabaseName=hub.outputs["LakeDatabaseName"], Name="records")["Table"]
    columns = [(one["Name"], one["Type"]) for one in table["StorageDescriptor"]["Columns"]]
    for kind in sorted({row.item_type for row in listed}):
        texts = [_text(row) for row in listed if row.item_type == kind]
        written = to_parquet(PARQUET, columns, [Transformed(Record("", 0.0, b""), text) for text in texts])
        assert written.body is not None
        key = f"records/item_type={kind}/dt={hour}/lake-rows-1-{listed[0].sequence_number}.parquet"
        hub.client("s3").put_object(Bucket=hub.lake_bucket, Key=key, Body=written.body)


def _text(row: RecordRow) -> bytes:
    change = "REMOVE" if row.item is None else "MODIFY"
    named = {
        "event_id": row.sequence_number.rjust(32, "0"),
        "change": change,
        "item_id": row.item_id,
        "sk": row.sk,
        "stream_label": "2026-11-01T00:00:00.000",
        "sequence_number": row.sequence_number,
        "event_time": "2026-11-20 12:00:00.000",
        "item": row.item,
        "old_item": row.item or "{}",
    }
    return json.dumps(named).encode()
