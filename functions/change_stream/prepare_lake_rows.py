"""Turns records of the stream of records into rows of the lake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from change_stream.change_objects import ChangeObjects
from change_stream.item_types import item_types
from change_stream.lake_rows import LakeRows
from change_stream.settings import change_stream_settings
from common import aws_clients
from common.observability import count, lambda_entry, logger, measure_seconds


@lambda_entry
def lambda_handler(event: list[dict[str, Any]], _context: LambdaContext) -> list[dict[str, Any]]:
    """The enrichment of the pipe from the stream of records to Firehose: a batch of records.

    Returns a row for each of them, which says `malformed` where it is none, and nothing for what an
    application keeps for itself. Follows Amazon EventBridge User Guide, «Event enrichment in Amazon
    EventBridge Pipes».
    """
    settings = change_stream_settings()
    rows = LakeRows(
        declared=item_types(),
        objects=ChangeObjects(aws_clients.s3(), settings.bucket),
        arrived=datetime.now(UTC),
    )
    prepared = rows.prepare(event)
    malformed = prepared.malformed.total()
    count(RowsPrepared=len(prepared.rows) - malformed, RowsMalformed=malformed)
    measure_seconds(RowAgeSeconds=prepared.age_seconds)
    logger().info(
        "rows prepared",
        records=len(event),
        by_reference=prepared.by_reference,
        malformed=dict(prepared.malformed),
    )
    return prepared.rows
