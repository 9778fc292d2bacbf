"""Reconcile a run: what was processed must be all of what was exported."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import lambda_entry, logger
from healthlake_export.export_planning import read_ranges
from healthlake_export.ledger import Ledger
from healthlake_export.published_id_objects import merge_range_ids
from healthlake_export.reconciliation import reconcile, totals_without_ranges
from healthlake_export.run_context import RunContext
from healthlake_export.settings import export_settings


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Called by the export workflow with `{"run", "export", "plan"}` after the map.

    Returns the totals `{"files", "ranges", "bytes", "lines", "rows", "published", "batched",
    "repeated", "quarantined", "withheld", "lakeFiles", "lakeBytes", "publishedIdsKey"}`.
    Raises `ReconciliationFailed`.
    """
    run, plan = RunContext.from_state(event["run"]), event["plan"]
    if not plan["ranges"]:
        return totals_without_ranges(plan).to_state()
    settings = export_settings()
    s3 = aws_clients.s3()
    ranges = read_ranges(s3, settings.bucket, plan["itemsKey"])
    ledger = list(Ledger(aws_clients.dynamodb(), settings.table, run).read())
    totals = reconcile(plan, ranges, ledger, events=run.events)
    with_ids = [entry.index for entry in ledger if entry.published_ids]
    totals = totals.with_published_ids(merge_range_ids(s3, settings.bucket, run.run_id, with_ids))
    logger().info(
        "run reconciled",
        run_id=run.run_id,
        ranges=totals.ranges,
        lines=totals.lines,
        published=totals.published,
        batched=totals.batched,
        repeated=totals.repeated,
        withheld=totals.withheld,
        quarantined=totals.quarantined,
    )
    return totals.to_state()
