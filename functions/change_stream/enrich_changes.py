"""Turns records of the stream of records into details of events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from change_stream.change_objects import ChangeObjects
from change_stream.enrichment import Enrichment
from change_stream.fhir_mapping import fhir_mappings
from change_stream.item_collections import ItemCollections
from change_stream.item_types import item_types
from change_stream.settings import change_stream_settings
from common import aws_clients
from common.observability import count, lambda_entry, logger, measure_seconds


@lambda_entry
def lambda_handler(event: list[dict[str, Any]], _context: LambdaContext) -> list[dict[str, Any]]:
    """The enrichment of the pipe from the stream of records to the bus: a batch of records.

    Returns the details of their events, fewer than records where some are in quarantine or are what an
    application keeps for itself. Follows Amazon EventBridge User Guide, «Event enrichment in Amazon
    EventBridge Pipes».
    """
    settings = change_stream_settings()
    enrichment = Enrichment(
        types=item_types(),
        mappings=fhir_mappings(),
        read_collection=ItemCollections(aws_clients.dynamodb(), settings.table).read,
        objects=ChangeObjects(aws_clients.s3(), settings.bucket),
        max_inline_bytes=settings.max_inline_bytes,
        arrived=datetime.now(UTC),
    )
    enriched = enrichment.enrich(event)
    count(
        RecordsEnriched=len(enriched.details),
        RecordsQuarantined=enriched.quarantined.total(),
        RecordsNotMapped=enriched.unmapped.total(),
    )
    measure_seconds(RecordAgeSeconds=enriched.age_seconds)
    logger().info(
        "records enriched",
        records=len(event),
        events=len(enriched.details),
        by_reference=enriched.by_reference,
        quarantined=dict(enriched.quarantined),
        not_mapped=dict(enriched.unmapped),
    )
    return enriched.details
