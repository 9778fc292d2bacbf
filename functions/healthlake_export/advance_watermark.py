"""Last write of a run: move the watermark, release the lock and store the completion event, in one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import count, lambda_entry, logger
from healthlake_export.errors import RunSuperseded
from healthlake_export.instants import format_instant
from healthlake_export.run_context import RunContext
from healthlake_export.run_events import export_completed
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings

_COUNTS = ("files", "ranges", "bytes", "lines", "rows", "published", "repeated", "quarantined")


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Invoked by the state machine with run, export, plan and totals.

    Returns the execution's output. Done twice it changes nothing; raises `RunSuperseded` when the run
    was ended by somebody else.
    """
    settings = export_settings()
    run = RunContext.from_state(event["run"])
    held = settings.hold_on_export_errors and event["export"]["jobStatus"] == "COMPLETED_WITH_ERRORS"
    advances = run.advances_watermark and not held
    summary = summarise(run, event, watermark=event["export"]["requestedAt"] if advances else None)
    state = RunState(aws_clients.dynamodb(), settings.table, run.datastore_id)
    closed = state.close(
        run.identity,
        {**summary, "endedAt": format_instant(datetime.now(UTC))},
        export_completed({**summary, "datastoreId": run.datastore_id}),
        watermark=summary["watermark"],
        published_ids=event["totals"]["publishedIdsKey"],
    )
    if closed:
        _count_outcomes(summary)
    elif state.read_audit(run.identity).get("status") != "COMPLETED":
        raise RunSuperseded("The run no longer owns the run lock; its watermark was not moved.")
    logger().info("run completed", **summary)
    return summary


def _count_outcomes(summary: Mapping[str, Any]) -> None:
    count(
        ExportsCompleted=1,
        ResourcesPublished=summary["published"],
        ResourcesRepeated=summary["repeated"],
        ResourcesQuarantined=summary["quarantined"],
    )


def summarise(run: RunContext, event: Mapping[str, Any], watermark: str | None) -> dict[str, Any]:
    """What an execution ends with: the run, its window and its counts. `exportErrors` counts resources
    that HealthLake itself could not export, which no line of the export stands for."""
    return {
        "runId": run.run_id,
        "status": "COMPLETED",
        "mode": run.mode,
        "since": run.since,
        "until": run.until,
        "jobId": event["export"]["jobId"],
        "jobStatus": event["export"]["jobStatus"],
        **{name: event["totals"][name] for name in _COUNTS},
        "exportErrors": event["plan"]["quarantined"],
        "watermark": watermark,
    }
