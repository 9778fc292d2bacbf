"""Change events: one per changed resource, or one for many of them, as entries of EventBridge's PutEvents.

The resource travels as the text that was exported, so that decimals such as 1.10 and integers past 2^63
arrive as they were written; an event for many refers to their places in the exported file. Sizes follow
the EventBridge user guide, «Calculating PutEvents event entry size».
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from common.names import EVENT_SOURCE
from healthlake_export.ndjson import Line, LinePlace
from healthlake_export.resource_keys import Meta, ResourceKeys

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

CHANGED = "FhirResourceChanged"
SNAPSHOT = "FhirResourceSnapshot"
BATCH_SUFFIX = "Batch"

MAX_BATCH_ENTRIES = 10
MAX_BATCH_BYTES = 1_000_000
"""A batch stays below this. The service's limit is 1 MB; this holds however a megabyte is counted."""

EVENT_ID_BYTES = 16
_NO_META = Meta()
_LONGEST_COUNT = 6


class Change(NamedTuple):
    """A changed resource: the id of its event, and its line, or the place of one that is not held."""

    identity: bytes
    line: Line | LinePlace


class ChangeEvent(NamedTuple):
    """An entry for PutEvents, its size in bytes as the service counts it, and the changes it tells of."""

    entry: PutEventsRequestEntryTypeDef
    size: int
    changes: tuple[Change, ...]


class _Version(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What every event says of a version of a resource."""

    eventId: str  # noqa: N815 - the names in the event
    resourceType: str  # noqa: N815
    id: str
    versionId: str | None = None  # noqa: N815
    lastUpdated: str | None = None  # noqa: N815


class _DetailMeta(_Version, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    datastoreId: str  # noqa: N815
    runId: str  # noqa: N815


class _Change(_Version, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    offset: int
    length: int


class _BatchMeta(msgspec.Struct, frozen=True, gc=False):
    batchId: str  # noqa: N815
    datastoreId: str  # noqa: N815
    runId: str  # noqa: N815
    count: int


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
            detail = b'{"meta":%b,"resource":%b}' % (head, line.text)
            return self.entry(self.detail_type, detail, (Change(identity, line),))
        place = LinePlace(line.offset, line.length)  # a large line is not held until its event is sent
        reference = _Reference(self.bucket, self.key, line.text_offset, len(line.text))
        detail = b'{"meta":%b,"reference":%b}' % (head, _encode(reference))
        return self.entry(self.detail_type, detail, (Change(identity, place),))

    def change(self, identity: bytes, keys: ResourceKeys, line: Line) -> bytes:
        """What an event for many resources says of the one in `line`."""
        meta = keys.meta or _NO_META
        return _encode(
            _Change(
                eventId=identity.hex(),
                resourceType=keys.resourceType,
                id=keys.id,
                versionId=meta.versionId,
                lastUpdated=meta.lastUpdated,
                offset=line.text_offset,
                length=len(line.text),
            )
        )

    def batch(self, told: Sequence[bytes], changes: tuple[Change, ...]) -> ChangeEvent:
        """The event for many resources, of each of which `told` has what `change` says. Its id follows from
        theirs, so that the same resources told again have it again."""
        identity = hashlib.sha256(b"".join(change.identity for change in changes)).digest()[:EVENT_ID_BYTES]
        head = _encode(_BatchMeta(identity.hex(), self.datastore_id, self.run_id, len(changes)))
        place = _encode({"bucket": self.bucket, "key": self.key})
        detail = b'{"meta":%b,"reference":%b,"changes":[%b]}' % (head, place, b",".join(told))
        return self.entry(self.detail_type + BATCH_SUFFIX, detail, changes)

    def entry(self, detail_type: str, detail: bytes, changes: tuple[Change, ...]) -> ChangeEvent:
        """An event of this detail type, with its size as EventBridge counts it."""
        entry: PutEventsRequestEntryTypeDef = {
            "EventBusName": self.bus,
            "Source": EVENT_SOURCE,
            "DetailType": detail_type,
            "Detail": detail.decode(),
        }
        size = len(EVENT_SOURCE) + len(detail_type) + len(detail)
        return ChangeEvent(entry, size, changes)


class BatchEvents:
    """Collects changes until the detail of an event for all of them would be larger than may travel."""

    def __init__(self, event_format: ChangeEventFormat) -> None:
        self._format = event_format
        self._empty = len(event_format.batch([], ()).entry["Detail"]) + _LONGEST_COUNT
        self._told: list[bytes] = []
        self._changes: list[Change] = []
        self._size = self._empty

    def add(self, identity: bytes, keys: ResourceKeys, line: Line) -> ChangeEvent | None:
        """Take a change; returns the event for those before it when it does not fit beside them."""
        told = self._format.change(identity, keys, line)
        full = self._told and self._size + len(told) + 1 > self._format.max_inline_bytes
        before = self.take() if full else None
        self._told.append(told)
        self._changes.append(Change(identity, LinePlace(line.offset, line.length)))
        self._size += len(told) + 1
        return before

    def take(self) -> ChangeEvent | None:
        """The event for what has been collected, if anything has, leaving nothing."""
        if not self._told:
            return None
        event = self._format.batch(self._told, tuple(self._changes))
        self._told, self._changes, self._size = [], [], self._empty
        return event


class PutEventsBatch:
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
