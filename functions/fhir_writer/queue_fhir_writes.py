"""Passes changes of items that map to FHIR on to the writer's queue."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import count, lambda_entry
from fhir_writer.settings import queue_settings
from fhir_writer.write_queue import queue_changes


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> Any:
    """Triggered by the queue of an item type, whose messages are events of the bus.

    Returns the messages that are to be delivered again.
    """
    settings = queue_settings()
    if not settings.fhir_writes:
        return {"batchItemFailures": []}
    answer, queued = queue_changes(aws_clients.sqs(), settings.queue_url, event["Records"])
    count(FhirWritesQueued=queued)
    return answer
