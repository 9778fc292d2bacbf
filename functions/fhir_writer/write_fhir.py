"""Writes FHIR resources to HealthLake as the records say they are."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.healthlake_http import HealthLakeHttp
from common.observability import lambda_entry
from fhir_writer.failed_writes import FailedWrites
from fhir_writer.fhir_store import FhirStore
from fhir_writer.record_resources import RecordResources
from fhir_writer.resource_writer import POLICY, ResourceWriter
from fhir_writer.settings import writer_settings
from fhir_writer.write_batch import answer_fifo_batch
from fhir_writer.writer_state import WriterState

_LAST_SECONDS = 25.0
"""What a request may still take, and what comes after it."""


@lambda_entry
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Triggered by the FIFO queue of writes, grouped by resource.

    Returns the messages that are to be delivered again: of a resource all from the first that failed.
    """
    settings = writer_settings()
    dynamodb = aws_clients.dynamodb()

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() / 1000 > _LAST_SECONDS

    http = HealthLakeHttp(aws_clients.session(), aws_clients.healthlake(), settings.datastore_id)
    writer = ResourceWriter(
        state=WriterState(
            dynamodb, settings.table, settings.claim_seconds, time.time, lambda: str(uuid.uuid4())
        ),
        store=FhirStore(http),
        records=RecordResources(dynamodb, settings.records_table),
        policy=POLICY,
        has_time=has_time,
    )
    failures = FailedWrites(aws_clients.s3(), settings.bucket, lambda: datetime.now(UTC))
    return answer_fifo_batch(event["Records"], writer, failures, has_time)
