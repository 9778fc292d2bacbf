"""Process one byte range of an export: publish its changes, quarantine what is broken, write the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.errors import HubError
from common.observability import lambda_entry, logger, presentable
from common.retry_policy import RetryPolicy
from common.time_limit import before_timeout
from healthlake_export.byte_ranges import ByteRange
from healthlake_export.errors import RangeTimedOut
from healthlake_export.range_failures import RangeFailures
from healthlake_export.range_processing import RangeProcessor
from healthlake_export.run_context import RunContext
from healthlake_export.settings import export_settings

_LAST_SECONDS = 15.0
"""Enough to write one item while the machine is busy."""


@lambda_entry
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Called by the map of the export workflow with `{"run", "export", "range", "countsEvents"}`.

    Returns the index of the range and nothing that grows: what came of it stands in the ledger.
    Raises `RunSuperseded`, `RangeChanged` or `EventsNotAccepted`.
    """
    settings = export_settings()
    run = RunContext.from_state(event["run"])
    piece = ByteRange.from_item(event["range"])
    processor = RangeProcessor(
        s3=aws_clients.s3(),
        events=aws_clients.events(),
        dynamodb=aws_clients.dynamodb(),
        settings=settings,
        run=run,
        requested_at=event["export"]["requestedAt"],
        clock=lambda: datetime.now(UTC),
        policy=RetryPolicy(),
        counts_events=event.get("countsEvents", True),
    )
    failures = RangeFailures(aws_clients.dynamodb(), settings.table, run.run_id)
    timed_out = RangeTimedOut("The function's time ended first: lower RangeSizeMegabytes, or see its log.")
    try:
        with before_timeout(context, _LAST_SECONDS, partial(failures.record, piece.index, timed_out)):
            entry = processor.process(piece)
    except Exception as error:
        shown = error if isinstance(error, HubError) else presentable(error)
        failures.record(piece.index, shown)
        raise shown from None
    logger().info(
        "range processed",
        run_id=run.run_id,
        range=entry.index,
        lines=entry.lines,
        published=entry.published,
        batched=entry.batched,
        repeated=entry.repeated,
        quarantined=entry.quarantined,
    )
    return {"index": entry.index}
