"""What the hub remembers of a resource that it writes: who is writing it, the version that was written last,
and the last applied sequence number of each of its items.

The item `FHIR#<hash of the resource>`, `APPLIED` of the hub's table. What a resource looks like is always
read from the records, so that nothing here decides it: whoever forgets the item loses a comparison, not a
change. Hence it may expire, after longer than a message can live in queue, dead-letter queue and redrives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from common.conditional_writes import condition_holds
from common.table_values import text
from fhir_writer.errors import FhirWriteContended
from fhir_writer.write_messages import Delivery, FhirWrite, ResourceName

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

KEPT_SECONDS = 60 * 86_400
"""How long an item is kept after its last write: a message lives 18 days, and as long again when redriven."""

MOST_SEQUENCES = 500
"""Of a resource with more items the sequence numbers of those that changed last are kept."""

DELETED = "deleted"
"""In place of an ETag, where the hub has deleted the resource."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Held:
    """A resource that this worker has claimed. `etag` is that of the version written last, None where none
    is known, or `DELETED`."""

    resource: ResourceName
    owner: str
    etag: str | None
    applied: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def is_new(self, write: FhirWrite) -> bool:
        """Whether nothing as late of the write's item has been applied."""
        return self.applied.get(write.item, "") < write.sequence

    def with_applied(self, *writes: FhirWrite) -> dict[str, str]:
        """The applied sequence numbers with those of `writes`, the oldest left out of too many."""
        applied = dict(self.applied)
        for write in writes:
            applied[write.item] = max(applied.get(write.item, ""), write.sequence)
        latest = sorted(applied, key=lambda item: applied[item], reverse=True)[:MOST_SEQUENCES]
        return {item: applied[item] for item in latest}


class WriterState:
    """Claims resources, so that one worker at a time writes each, and keeps what was written.

    A claim ends by itself after `claim_seconds`, which is longer than a worker can live, and with the next
    delivery of the message that it was made for. `now` is in seconds since 1970.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table: str,
        claim_seconds: int,
        now: Callable[[], float],
        new_owner: Callable[[], str],
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._claim_seconds = claim_seconds
        self._now = now
        self._new_owner = new_owner

    def claim(self, resource: ResourceName, delivery: Delivery) -> Held:
        """The resource, for this worker; raises `FhirWriteContended` where another one holds it."""
        owner, now = self._new_owner(), int(self._now())
        found: dict[str, AttributeValueTypeDef] = {}

        def write() -> None:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(resource),
                # The version goes until the resource is given back: whoever dies may have written another.
                UpdateExpression=(
                    "SET claimedBy = :owner, claimedUntil = :until, claimedFor = :message,"
                    " claimedDelivery = :delivery, expiresAt = :expires REMOVE etag"
                ),
                ConditionExpression=(
                    "attribute_not_exists(claimedBy) OR claimedUntil < :now"
                    " OR (claimedFor = :message AND claimedDelivery < :delivery)"
                ),
                ExpressionAttributeValues={
                    ":owner": {"S": owner},
                    ":message": {"S": delivery.message_id},
                    ":delivery": {"N": str(delivery.count)},
                    ":until": {"N": str(now + self._claim_seconds)},
                    ":expires": {"N": str(now + KEPT_SECONDS)},
                    ":now": {"N": str(now)},
                },
                ReturnValues="ALL_OLD",
            )
            found.update(answer.get("Attributes", {}))

        if not condition_holds(write):
            raise FhirWriteContended("Another worker is writing the resource.")
        applied = {item: value["S"] for item, value in found.get("applied", {}).get("M", {}).items()}
        return Held(resource, owner, text(found, "etag"), applied)

    def release(self, held: Held, etag: str | None, applied: Mapping[str, str]) -> None:
        """Give the resource back and keep what was written; raises `FhirWriteContended` where the claim has
        run out and somebody else has taken it."""

        def write() -> None:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(held.resource),
                UpdateExpression=(
                    "SET applied = :applied" + (", etag = :etag" if etag else "") + ", expiresAt = :expires"
                    " REMOVE claimedBy, claimedUntil, claimedFor, claimedDelivery"
                    + ("" if etag else ", etag")
                ),
                ConditionExpression="claimedBy = :owner",
                ExpressionAttributeValues={
                    ":owner": {"S": held.owner},
                    ":applied": {"M": {item: {"S": sequence} for item, sequence in applied.items()}},
                    ":expires": {"N": str(int(self._now()) + KEPT_SECONDS)},
                    **({":etag": {"S": etag}} if etag else {}),
                },
            )

        if not condition_holds(write):
            raise FhirWriteContended("Another worker has taken the resource over.")


def _key(resource: ResourceName) -> dict[str, AttributeValueTypeDef]:
    return {"pk": {"S": f"FHIR#{resource.digest}"}, "sk": {"S": "APPLIED"}}
