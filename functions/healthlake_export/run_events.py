"""Events about runs, and the outbox that they wait in until the bus has taken them.

The event of a run's end is written in the same transaction that ends the run, so it cannot be lost
between the two; whoever publishes next sends what is waiting. A consumer drops repeats by `runId`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from healthlake_export.errors import EventsNotAccepted
from healthlake_export.run_state import RunState

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "healthlake-hub"


def export_completed(detail: Mapping[str, Any]) -> str:
    """The outbox text of a run that completed."""
    return json.dumps({"detailType": "ExportCompleted", "detail": detail})


def export_failed(detail: Mapping[str, Any]) -> str:
    """The outbox text of a run that failed."""
    return json.dumps({"detailType": "ExportFailed", "detail": detail})


def publish_outbox(state: RunState, client: EventBridgeClient, bus: str) -> list[str]:
    """Publish every event that waits in the outbox, oldest run id first, and return the run ids.

    Raises `EventsNotAccepted` when the bus refuses one; it stays in the outbox.
    """
    published = []
    for run_id, text in state.read().outbox:
        event = json.loads(text)
        answer = client.put_events(
            Entries=[
                {
                    "Source": SOURCE,
                    "DetailType": event["detailType"],
                    "Detail": json.dumps(event["detail"]),
                    "EventBusName": bus,
                }
            ]
        )
        if answer["FailedEntryCount"]:
            code = answer["Entries"][0].get("ErrorCode", "no error code")
            raise EventsNotAccepted(f"The bus refused the event of run {run_id} with {code}.")
        state.clear_outbox(run_id)
        published.append(run_id)
    return published
