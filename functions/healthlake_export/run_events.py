"""Events about runs, and the outbox that they wait in until the bus has taken them.

The event of a run's end is written in the same transaction that ends the run, so it cannot be lost
between the two; whoever publishes next sends what is waiting. A consumer drops repeats by `runId`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from common.names import EVENT_SOURCE
from common.refusals import describe_refusal
from healthlake_export.errors import EventsNotAccepted
from healthlake_export.run_state import RunState

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef


def export_completed(detail: Mapping[str, Any]) -> str:
    """The outbox text of a run that completed."""
    return json.dumps({"detailType": "ExportCompleted", "detail": detail})


def export_failed(detail: Mapping[str, Any]) -> str:
    """The outbox text of a run that failed."""
    return json.dumps({"detailType": "ExportFailed", "detail": detail})


def publish_outbox(state: RunState, client: EventBridgeClient, bus: str) -> list[str]:
    """Publish every event that waits in the outbox, by the time at which its run ended, and return the ids
    of their runs.

    Raises `EventsNotAccepted` after all have been tried when the bus refused one; it stays in the outbox.
    """
    waiting = [(run_id, json.loads(text)) for run_id, text in state.outbox()]
    published, refused = [], []
    for run_id, event in sorted(waiting, key=lambda item: item[1]["detail"].get("endedAt") or ""):
        refusal = _refusal(client, bus, event)
        if refusal is None:
            state.clear_outbox(run_id)
            published.append(run_id)
        else:
            refused.append(f"of run {run_id}: {refusal}")
    if refused:
        raise EventsNotAccepted(f"The bus refused the event {' '.join(refused)}")
    return published


def _refusal(client: EventBridgeClient, bus: str, event: Mapping[str, Any]) -> str | None:
    """Publish an event; why, if the bus refused it."""
    entry: PutEventsRequestEntryTypeDef = {
        "Source": EVENT_SOURCE,
        "DetailType": event["detailType"],
        "Detail": json.dumps(event["detail"]),
        "EventBusName": bus,
    }
    try:
        answer = client.put_events(Entries=[entry])
    except ClientError as error:
        return describe_refusal(error)
    except BotoCoreError as error:
        return f"PutEvents failed with {type(error).__name__}."
    if not answer["FailedEntryCount"]:
        return None
    return f"PutEvents answered {answer['Entries'][0].get('ErrorCode', 'without an error code')}."
