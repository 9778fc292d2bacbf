"""`state`: who holds the run lock, how far its export is, how old the watermark is, what waits; and
`resume`, which lets the schedule start exports again after a pause."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from common.instants import parse_instant
from healthlake_export.datastore_state import DatastoreState
from healthlake_export.erasures import is_erasure
from healthlake_export.run_state import RunState
from local.cli.operations.hub import DeployedHub
from local.cli.operations.run_documents import describe_execution
from local.cli.output import Output
from local.cli.project import command_line

_LABELS = {
    "datastoreId": "datastore",
    "runId": "run that holds the lock",
    "ownerStatus": "that run's execution",
    "phase": "phase",
    "jobId": "export job",
    "requestedAt": "job asked for at",
    "runningSince": "job running since",
    "watermark": "watermark",
    "watermarkAgeSeconds": "watermark's age, seconds",
    "holds": "held runs in a row",
    "pausedAt": "paused since",
    "outbox": "events waiting in the outbox",
}
_UNKNOWN = "unknown to Step Functions"
_ERASING = "none: a patient is being erased"


def state(hub: DeployedHub, output: Output) -> int:
    """Show the state of the hub's datastore."""
    store = _store(hub)
    document = _document(hub, store.read(), store.outbox(), datetime.now(UTC))
    shown = {label: document[name] for name, label in _LABELS.items()}
    shown["events waiting in the outbox"] = len(document["outbox"])
    output.fields(shown)
    for waiting in document["outbox"]:
        output.line(f"  {waiting['detailType']} of run {waiting['runId']}")
    for advice in _advice(document):
        output.warning(advice)
    output.document({"hub": hub.document(), "state": document})
    return 0


def resume(hub: DeployedHub, output: Output) -> int:
    """Let the schedule start exports again; says what it found and what it did."""
    store = _store(hub)
    found = store.read()
    resumed = store.resume()
    if resumed:
        output.good(
            f"Resumed: exports were paused since {found.paused_at or 'a moment ago'}, "
            f"after {found.holds} held runs. The schedule starts them again; the count begins anew."
        )
        output.line(
            f"The watermark is still {found.watermark}. To go on without what HealthLake cannot export: "
            f"`{command_line()} export --accept-errors`"
        )
    else:
        output.line(f"Exports are not paused (held runs in a row: {found.holds}); nothing was changed.")
    document = {"resumed": resumed, "pausedAt": found.paused_at, "holds": found.holds}
    output.document({"hub": hub.document(), **document})
    return 0


def _store(hub: DeployedHub) -> RunState:
    return RunState(hub.client("dynamodb"), hub.table, hub.datastore_id)


def _document(
    hub: DeployedHub, found: DatastoreState, outbox: list[tuple[str, str]], now: datetime
) -> dict[str, Any]:
    running = found.running_since
    return {
        "datastoreId": hub.datastore_id,
        "runId": found.run_id,
        "owner": found.owner,
        "ownerStatus": _status_of(hub, found.owner),
        "phase": found.phase,
        "attempt": found.attempt,
        "jobId": found.job_id,
        "requestedAt": found.requested_at,
        "runningSince": datetime.fromtimestamp(running, UTC).isoformat() if running else None,
        "watermark": found.watermark,
        "watermarkAgeSeconds": _age(found.watermark, now),
        "firstRunAt": found.first_run_at,
        "holds": found.holds,
        "pausedAt": found.paused_at,
        "outbox": [
            {"runId": run_id, "detailType": json.loads(event)["detailType"]} for run_id, event in outbox
        ],
    }


def _status_of(hub: DeployedHub, owner: str | None) -> str | None:
    if owner is None:
        return None
    if is_erasure(owner):
        return _ERASING
    execution = describe_execution(hub.client("stepfunctions"), owner)
    return str(execution["status"]) if execution else _UNKNOWN


def _age(watermark: str | None, now: datetime) -> int | None:
    return None if watermark is None else int((now - parse_instant(watermark)).total_seconds())


def _advice(document: Mapping[str, Any]) -> list[str]:
    advice = []
    if document["ownerStatus"] == _ERASING:
        advice.append(
            "`erase` holds the lock, and runs wait for it. If its process is gone, a run takes the lock over "
            "ten minutes after it was renewed last."
        )
    elif document["owner"] and document["ownerStatus"] not in ("RUNNING", "PENDING_REDRIVE"):
        advice.append(
            "The run that holds the lock is not alive: the next run cleans it up and takes the lock."
        )
    if document["pausedAt"]:
        advice.append(
            f"Exports that the schedule starts are turned away. `{command_line()} resume` lets them run; "
            f"`{command_line()} export --accept-errors` moves the watermark past what cannot be exported."
        )
    if document["outbox"]:
        advice.append("The next run that ends publishes what waits in the outbox.")
    return advice
