"""Gives rows of the lake their partitions, on their way through Firehose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from change_stream.item_types import item_types
from change_stream.lake_partitions import Partitions
from change_stream.lake_settings import lake_settings
from change_stream.large_rows import RowsOfTheHub
from change_stream.row_batches import RowBatch
from common import aws_clients
from common.observability import count, lambda_entry, logger


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """The transformation of the delivery stream of rows: a batch of records.

    Returns an answer for each: Ok with the row's partition, ProcessingFailed for what is no row, Dropped for
    a large row that is back in the stream. Raises `AwsCallFailed` when a service refuses: Firehose tries the
    batch again then.
    """
    settings = lake_settings()
    rows = RowsOfTheHub(
        s3=aws_clients.s3(),
        firehose=aws_clients.firehose(),
        bucket=settings.bucket,
        stream=event["deliveryStreamArn"].rpartition("/")[2],
    )
    partitions = Partitions.until(datetime.now(UTC), settings.first_day, item_types())
    done = RowBatch(partitions, rows).transform(event["records"])
    refused = done.refused.total()
    count(LakeRows=done.rows, LakeRowsRefused=refused)
    tell = logger().warning if refused else logger().info
    tell(
        "rows partitioned",
        records=len(event["records"]),
        rows=done.rows,
        by_reference=done.by_reference,
        sent_back=done.sent_back,
        refused=dict(done.refused),
    )
    return {"records": done.records}
