"""First state of an execution: check everything that can be wrong beforehand, take the run lock, choose
the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.errors import InvalidInput
from common.instants import format_instant, parse_instant
from common.observability import count, lambda_entry, logger, measure_seconds
from healthlake_export.datastore_state import DatastoreState
from healthlake_export.errors import ExportsPaused, RunLockHeld, RunSuperseded
from healthlake_export.run_context import RunContext, RunIdentity
from healthlake_export.run_request import RunRequest, parse_run_request
from healthlake_export.run_state import RunState
from healthlake_export.settings import ExportSettings, export_settings
from healthlake_export.watermark_age import watermark_age
from healthlake_export.window import EventPolicy, Progress, plan_run

_UNKNOWN_OWNER_IS_STALE_AFTER = timedelta(hours=1)


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Invoked by the state machine with `{"execution": {arn, name, startedAt}, "request": input}`.

    Returns `{"run": ...}`. Raises `InvalidSetting` or `InvalidInput` before anything is locked,
    `ExportsPaused` when the schedule asks while exports are paused, `RunLockHeld` when another execution
    holds the lock, and `RunSuperseded` when the run was stopped and cleaned up while it began.
    """
    settings = export_settings()
    request = parse_run_request(event["request"])
    execution = event["execution"]
    identity = RunIdentity(execution["name"], execution["arn"], settings.datastore_id)
    started_at = format_instant(parse_instant(execution["startedAt"]))
    state = RunState(aws_clients.dynamodb(), settings.table, settings.datastore_id)
    now = datetime.now(UTC)
    found = state.read()
    measure_seconds(
        WatermarkAgeSeconds=watermark_age(found, now, timedelta(seconds=settings.max_export_seconds))
    )
    _require_a_new_name(state, identity, started_at)
    _require_no_pause(found, request)
    run = acquire(settings, state, identity, request, started_at, now)
    if not state.open_audit(run, format_instant(datetime.now(UTC))):
        raise RunSuperseded("The run was ended by its clean-up while it began.")
    logger().info("run lock acquired", run_id=run.run_id, mode=run.mode, since=run.since, until=run.until)
    return {"run": run.to_state()}


def _require_a_new_name(state: RunState, identity: RunIdentity, started_at: str) -> None:
    """Step Functions takes the name of an execution again after 90 days; ledger and job of the old run
    would be taken for those of the new one."""
    before = state.read_audit(identity).get("startedAt")
    if before is not None and before != started_at:
        raise InvalidInput(
            f"The execution's name was used before, by a run that started at {before}: choose another name."
        )


def _require_no_pause(found: DatastoreState, request: RunRequest) -> None:
    if found.paused_at is not None and request.is_scheduled:
        count(ExportsPaused=1)
        raise ExportsPaused(f"Exports are paused since {found.paused_at}, after {found.holds} held runs.")


def acquire(
    settings: ExportSettings,
    state: RunState,
    identity: RunIdentity,
    request: RunRequest,
    started_at: str,
    now: datetime,
) -> RunContext:
    """Take the lock and plan the run from what earlier ones left; raises `RunLockHeld`."""
    acquired = state.acquire(
        identity.run_id,
        identity.execution_arn,
        now=format_instant(now),
        stale_after=format_instant(now + _UNKNOWN_OWNER_IS_STALE_AFTER),
    )
    if not acquired:
        raise RunLockHeld("Another execution holds the run lock of the datastore.")
    left = state.read()
    return plan_run(
        identity,
        request,
        Progress(
            parse_instant(left.watermark) if left.watermark else None,
            left.published_ids,
            left.ids_are_silent,
        ),
        overlap=timedelta(seconds=settings.overlap_seconds),
        policy=EventPolicy(settings.change_events, settings.full_run_events, settings.batch_events),
        started_at=started_at,
    )
