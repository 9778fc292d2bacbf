"""Change events: one per changed resource, as an entry of EventBridge's PutEvents.

The resource travels as the text that was exported, so that decimals such as 1.10 and integers past 2^63
arrive as they were written. Sizes follow the EventBridge user guide, «Calculating PutEvents event entry
size».
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from healthlake_export.ndjson import Line, LinePlace
from healthlake_export.resource_keys import Meta, ResourceKeys

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE = "healthlake-hub"
CHANGED = "FhirResourceChanged"
SNAPSHOT = "FhirResourceSnapshot"

MAX_BATCH_ENTRIES = 10
MAX_BATCH_BYTES = 1_000_000
"""A batch stays below this. The service's limit is 1 MB; this holds however a megabyte is counted."""

EVENT_ID_BYTES = 16
_NO_META = Meta()


class ChangeEvent(NamedTuple):
    """An entry for PutEvents, its size in bytes as the service counts it, and what it is about: the id
    of the event, and the line that travels in it, or the place of the one that it refers to."""

    entry: PutEventsRequestEntryTypeDef
    size: int
    identity: bytes
    line: Line | LinePlace


class _DetailMeta(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    eventId: str  # noqa: N815 - the names in the event
    resourceType: str  # noqa: N815
    id: str
    versionId: str | None = None  # noqa: N815
    lastUpdated: str | None = None  # noqa: N815
    datastoreId: str  # noqa: N815
    runId: str  # noqa: N815


class _Reference(msgspec.Struct, frozen=True, gc=False):
    bucket: str
    key: str
    offset: int
    length: int


_encode = msgspec.json.Encoder().encode


def event_id(datastore_id: str, keys: ResourceKeys, text: bytes) -> bytes:
    """The 16 bytes that identify a version of a resource: the same whenever and however often it is
    exported. A resource without a version is identified by its content."""
    version = keys.meta.versionId if keys.meta else None
    if version is None:
        version = "sha256:" + hashlib.sha256(text).hexdigest()
    named = _encode((datastore_id, keys.resourceType, keys.id, version))
    return hashlib.sha256(named).digest()[:EVENT_ID_BYTES]


@dataclass(frozen=True)
class ChangeEventFormat:
    """What the events of one byte range have in common. `key` is the object that holds the resources;
    details of more than `max_inline_bytes` refer to their place in it instead of carrying them."""

    bus: str
    detail_type: str
    datastore_id: str
    run_id: str
    bucket: str
    key: str
    max_inline_bytes: int

    def event(self, identity: bytes, keys: ResourceKeys, line: Line) -> ChangeEvent:
        """The event that carries the resource in `line`, or says where it is."""
        meta = keys.meta or _NO_META
        head = _encode(
            _DetailMeta(
                eventId=identity.hex(),
                resourceType=keys.resourceType,
                id=keys.id,
                versionId=meta.versionId,
                lastUpdated=meta.lastUpdated,
                datastoreId=self.datastore_id,
                runId=self.run_id,
            )
        )
        size = len(b'{"meta":,"resource":}') + len(head) + len(line.text)
        if size <= self.max_inline_bytes:
            return self._event(b'{"meta":%b,"resource":%b}' % (head, line.text), identity, line)
        place = LinePlace(line.offset, line.length)  # a large line is not held until its event is sent
        reference = _Reference(self.bucket, self.key, line.text_offset, len(line.text))
        return self._event(b'{"meta":%b,"reference":%b}' % (head, _encode(reference)), identity, place)

    def _event(self, detail: bytes, identity: bytes, line: Line | LinePlace) -> ChangeEvent:
        entry: PutEventsRequestEntryTypeDef = {
            "EventBusName": self.bus,
            "Source": SOURCE,
            "DetailType": self.detail_type,
            "Detail": detail.decode(),
        }
        size = len(SOURCE) + len(self.detail_type) + len(detail)
        return ChangeEvent(entry, size, identity, line)


class EventBatch:
    """Collects events until one more would be too many, or too much, for one PutEvents call."""

    def __init__(self) -> None:
        self._events: list[ChangeEvent] = []
        self._size = 0

    def add(self, event: ChangeEvent) -> list[ChangeEvent]:
        """Take `event`; returns those that have to be sent before it, or nothing."""
        full = len(self._events) == MAX_BATCH_ENTRIES or self._size + event.size >= MAX_BATCH_BYTES
        before = self.take() if full else []
        self._events.append(event)
        self._size += event.size
        return before

    def take(self) -> list[ChangeEvent]:
        """What has been collected, leaving the batch empty."""
        events, self._events, self._size = self._events, [], 0
        return events
