"""Last write of a run: move the watermark, release the lock and store the completion event, in one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.instants import format_instant
from common.observability import count, lambda_entry, logger
from healthlake_export.errors import RunSuperseded
from healthlake_export.run_context import RunContext
from healthlake_export.run_events import export_completed
from healthlake_export.run_progress import RunProgress, progress_of
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings

_COUNTS = ("files", "ranges", "bytes", "lines", "rows", "published", "repeated", "quarantined")
_COUNTS_SINCE = ("batched", "withheld", "lakeFiles", "lakeBytes")


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Invoked by the state machine with run, export, plan and totals.

    Returns the execution's output. Done twice it changes nothing; raises `RunSuperseded` when the run
    was ended by somebody else.
    """
    settings = export_settings()
    run = RunContext.from_state(event["run"])
    state = RunState(aws_clients.dynamodb(), settings.table, run.datastore_id)
    now = format_instant(datetime.now(UTC))
    progress = progress_of(
        run,
        state.read(),
        requested_at=event["export"]["requestedAt"],
        published_ids=event["totals"]["publishedIdsKey"],
        hold=settings.hold_on_export_errors and _has_errors(event),
        now=now,
    )
    summary = summarise(run, event, progress)
    outcome = {**summary, "endedAt": now}
    completed = export_completed({**outcome, "datastoreId": run.datastore_id})
    if state.close(run.identity, outcome, completed, progress):
        _count_outcomes(run, summary, progress)
    elif state.read_audit(run.identity).get("status") != "COMPLETED":
        raise RunSuperseded("The run no longer owns the run lock; its watermark was not moved.")
    logger().info("run completed", **summary)
    return summary


def _has_errors(event: Mapping[str, Any]) -> bool:
    """Whether HealthLake could not export some resources, by its word or by its error files."""
    job_status, quarantined = event["export"]["jobStatus"], event["plan"]["quarantined"]
    return bool(job_status == "COMPLETED_WITH_ERRORS" or quarantined)


def _count_outcomes(run: RunContext, summary: Mapping[str, Any], progress: RunProgress) -> None:
    went_over = bool(summary["batched"]) and not run.batches
    count(
        ExportsCompleted=1,
        ResourcesPublished=summary["published"],
        ResourcesRepeated=summary["repeated"],
        ResourcesQuarantined=summary["quarantined"],
        ResourcesWithheld=summary["withheld"],
        ResourcesNotExported=summary["exportErrors"],
        ExportsHeld=int(progress.is_held),
        EventLimitExceeded=int(went_over),
    )


def summarise(run: RunContext, event: Mapping[str, Any], progress: RunProgress) -> dict[str, Any]:
    """What an execution ends with: the run, its window and its counts. `exportErrors` counts resources
    that HealthLake itself could not export, which no line of the export stands for; `held` says that the
    watermark waits for them."""
    return {
        "runId": run.run_id,
        "status": "COMPLETED",
        "mode": run.mode,
        "since": run.since,
        "until": run.until,
        "jobId": event["export"]["jobId"],
        "jobStatus": event["export"]["jobStatus"],
        **{name: event["totals"][name] for name in _COUNTS},
        # An execution that was started before these counts came is finished by functions deployed since.
        **{name: event["totals"].get(name, 0) for name in _COUNTS_SINCE},
        "exportErrors": event["plan"]["quarantined"],
        "held": progress.is_held,
        "watermark": progress.watermark,
    }
