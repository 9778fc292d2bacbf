"""Publishes what waits in the outbox: the event of the run that just ended and any left by earlier ones."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import lambda_entry
from healthlake_export.run_events import publish_outbox
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings


@lambda_entry
def lambda_handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Invoked by the state machine after a run has completed. Returns the ids of the runs whose events
    were published; raises `EventsNotAccepted` when the bus refuses one, which then stays for the next run.
    """
    settings = export_settings()
    state = RunState(aws_clients.dynamodb(), settings.table, settings.datastore_id)
    return {"published": publish_outbox(state, aws_clients.events(), settings.bus)}
