"""Resources as the records make them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from change_stream.errors import MalformedRecord, MappingError
from change_stream.fhir_mapping import fhir_mappings
from change_stream.item_collections import ItemCollections
from fhir_writer.errors import ResourceUnmappable
from fhir_writer.write_messages import FhirWrite

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class RecordResources:
    """Makes resources of the items in the records table, which it reads strongly consistent."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._collections = ItemCollections(dynamodb, table)

    def resource(self, write: FhirWrite) -> bytes | None:
        """The text of the resource that `write` is about, None without its base item; raises
        `ResourceUnmappable`, and the client's own errors."""
        mappings = fhir_mappings()
        try:
            key = mappings.key_of(write.item_type, write.id, write.sk)
            if key is None or (key.resource_type, key.resource_id) != (
                write.resource_type,
                write.resource_id,
            ):
                # The declaration has changed since the message was sent.
                raise ResourceUnmappable("Items of this type make no such resource any more.")
            aggregate = mappings.aggregate(write.resource_type)
            return mappings.build(write.resource_type, self._collections.read(aggregate, write.id, write.sk))
        except (MappingError, MalformedRecord) as error:
            explanation = str(error)
        except KeyError:
            explanation = "The type of the item is not declared, or its resource has no base type."
        raise ResourceUnmappable(explanation)
