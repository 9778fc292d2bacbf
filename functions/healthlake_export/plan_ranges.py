"""Plan the byte ranges of an export that has ended."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import lambda_entry, logger
from healthlake_export import erasures
from healthlake_export.event_budget import can_exceed
from healthlake_export.export_planning import ExportPlanner
from healthlake_export.fhir_export_api import export_api
from healthlake_export.run_context import RunContext
from healthlake_export.settings import export_settings


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Called by the export workflow with `{"run", "export"}` when the job has completed.

    Returns `{"files", "ranges", "bytes", "bucket", "itemsKey", "quarantined", "maxConcurrency",
    "countsEvents"}`;
    `itemsKey` is null when there is nothing to process. Raises `ManifestMismatch`, `TooManyRanges`,
    `RangeChanged`, `HealthLakeBusy` or `HealthLakeRefused`.
    """
    settings = export_settings()
    run = RunContext.from_state(event["run"])
    job = export_api(run.datastore_id).describe(event["export"]["jobId"])
    erased: frozenset[str] = frozenset()
    if job.errors:
        erased = erasures.read(aws_clients.dynamodb(), settings.table, run.datastore_id)
    plan = ExportPlanner(aws_clients.s3(), settings.bucket, settings.range_size, run, erased).plan(job)
    logger().info(
        "ranges planned",
        run_id=run.run_id,
        files=plan["files"],
        ranges=plan["ranges"],
        bytes=plan["bytes"],
        quarantined=plan["quarantined"],
    )
    return {
        **plan,
        "maxConcurrency": settings.max_concurrency,
        "countsEvents": can_exceed(plan["bytes"], settings.max_events_per_run),
    }
