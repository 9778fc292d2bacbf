"""Records of a stream as details of events.

A detail is made as text, in which numbers stand as DynamoDB gave them. It travels inside its event where that
changes nothing: the runtime, the pipe and whoever reads the event may write its JSON anew, with numbers as
doubles. A detail with a number that this would alter, or that is too large, lies in S3 as it was made, and
the event refers to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import msgspec

from change_stream.attribute_values import Doubtful, Image, encode
from change_stream.change_objects import Reference
from change_stream.errors import Malformed, MalformedRecord, MappingError
from change_stream.fhir_mapping import Aggregate, FhirMappings, ResourceKey
from change_stream.item_types import ItemType
from change_stream.parallel_calls import in_parallel
from change_stream.stream_record import Change, is_internal, read_change
from common.instants import parse_instant

MAX_ANSWER_BYTES = 900_000
"""What the details of a batch come to that travel inside their events: PutEvents takes 1 MB a call, and Pipes
puts a batch in one. Written as ASCII, as runtimes do, it is three times that at most; Lambda takes 6 MB."""


class Objects(Protocol):
    """Where what does not travel inside an event is put before the event is answered, by several threads."""

    def put_detail(self, event_id: str, detail: bytes) -> Reference: ...

    def quarantine(self, record: Any, reason: Malformed) -> Reference: ...


ReadCollection = Callable[[Aggregate, str, str], Sequence[Image]]
"""The items of a resource by id and sort key, as they are now; asked by several threads."""

Collections = dict[ResourceKey, Sequence[Image]]


@dataclass
class Enriched:
    """Details in the order of their records, and what happened to the records: how many details went by
    reference, how many records were quarantined for which reason, how many have no resource for which, and
    how many seconds ago the first of the changes was made."""

    details: list[dict[str, Any]] = field(default_factory=list)
    by_reference: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[str] = field(default_factory=Counter)
    age_seconds: int = 0


@dataclass
class Enrichment:
    """Makes details of the records of one batch. No record fails another; what AWS refuses fails the batch,
    which the pipe sends again."""

    types: Mapping[str, ItemType]
    mappings: FhirMappings
    read_collection: ReadCollection
    objects: Objects
    max_inline_bytes: int
    arrived: datetime

    def enrich(self, records: Sequence[Any]) -> Enriched:
        """The details of a batch, none for what an application keeps for itself. The same records give the
        same ids and the same object keys."""
        enriched, puts = Enriched(), _Puts()
        told = [record for record in records if not is_internal(record)]
        read = [one for record in told if (one := self._read(record, enriched, puts))]
        if read:
            first = parse_instant(min(one.change.time for one in read))
            enriched.age_seconds = max(0, round((self.arrived - first).total_seconds()))
        resources = _Resources(self.mappings, self._read_collections(read))
        left = MAX_ANSWER_BYTES
        for one in read:
            detail = self._write(one, resources, enriched, puts)
            if detail is None:
                continue
            if detail.doubtful or len(detail.text) > min(self.max_inline_bytes, left):
                referring: dict[str, Any] = {"meta": {**detail.meta, "inline": False}}
                puts.append(partial(self._refer, referring, one.change.event_id, detail.text))
                enriched.details.append(referring)
                enriched.by_reference += 1
            else:
                left -= len(detail.text)
                enriched.details.append(msgspec.json.decode(detail.text))
        in_parallel(_put, puts)
        return enriched

    def _refer(self, referring: dict[str, Any], event_id: str, text: bytes) -> None:
        referring["reference"] = self.objects.put_detail(event_id, text).to_json()

    def _read(self, record: Any, enriched: Enriched, puts: _Puts) -> _Read | None:
        """The change that a record tells of, or None where the record is for quarantine."""
        try:
            change = read_change(record, self.arrived, self.types)
        except MalformedRecord as error:
            self._quarantine(record, error.reason, enriched, puts)
            return None
        return _Read(record, change, self.mappings.key_of(change.item_type, change.id, change.sk))

    def _write(self, read: _Read, resources: _Resources, enriched: Enriched, puts: _Puts) -> _Detail | None:
        """The detail of a change, or None where its record is for quarantine."""
        try:
            return self._detail(read.change, read.key, resources, enriched)
        except MalformedRecord as error:
            reason = error.reason
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            # DynamoDB writes no record that raises these; whoever else does must not stop the stream.
            reason = Malformed.RECORD
        self._quarantine(read.record, reason, enriched, puts)
        return None

    def _quarantine(self, record: Any, reason: Malformed, enriched: Enriched, puts: _Puts) -> None:
        puts.append(partial(self.objects.quarantine, record, reason))
        enriched.quarantined[reason.value] += 1

    def _read_collections(self, read: Iterable[_Read]) -> Collections:
        """The items of every resource that is made of several, read once for the batch."""
        asked: dict[ResourceKey, tuple[Aggregate, str, str]] = {}
        for one in read:
            if one.key is None or one.key in asked:
                continue
            change, aggregate = one.change, self.mappings.aggregate(one.key.resource_type)
            gone = change.new_image is None and change.item_type == aggregate.base.name
            if aggregate.parts and not gone:
                asked[one.key] = (aggregate, change.id, change.sk)
        items = in_parallel(lambda one: self.read_collection(*one), list(asked.values()))
        return dict(zip(asked, items, strict=True))

    def _detail(
        self, change: Change, key: ResourceKey | None, resources: _Resources, enriched: Enriched
    ) -> _Detail:
        doubtful: Doubtful = []
        meta: dict[str, Any] = {
            "eventId": change.event_id,
            "change": change.kind,
            "itemType": change.item_type,
            "id": change.id,
            "sk": change.sk,
            "stream": change.stream,
            "sequenceNumber": change.sequence_number,
            "time": change.time,
            "table": change.table,
        }
        parts = change.plain(doubtful)
        if key:
            meta |= {"resourceType": key.resource_type, "resourceId": key.resource_id}
            try:
                resource = resources.of(change, key, doubtful)
            except MappingError as error:
                enriched.unmapped[error.reason.value] += 1
                meta["mappingError"] = {"element": error.element, "reason": error.reason.value}
            else:
                if resource is not None:
                    parts["resource"] = resource
        return _Detail(meta, encode({"meta": {**meta, "inline": True}, **parts}), bool(doubtful))


class _Puts(list[Callable[[], object]]):
    """What is to be put before the batch is answered."""


def _put(put: Callable[[], object]) -> None:
    put()


class _Resources:
    """The resources of a batch. One that is made of several items is made once, however many of them have
    changed."""

    def __init__(self, mappings: FhirMappings, collections: Collections) -> None:
        self._mappings = mappings
        self._collections = collections
        self._made: dict[ResourceKey, _Made] = {}

    def of(self, change: Change, key: ResourceKey, doubtful: Doubtful) -> dict[str, Any] | None:
        """The resource that a changed item belongs to, None where its base item is gone. Adds to `doubtful`;
        raises `MappingError`."""
        self._mappings.check_key(change.item_type, change.sk)
        aggregate = self._mappings.aggregate(key.resource_type)
        if change.item_type == aggregate.base.name and change.new_image is None:
            return None
        if not aggregate.parts:
            return self._mappings.plain(key.resource_type, [change.new_image or {}], doubtful)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._make(key)
        if made.error:
            raise made.error
        doubtful += made.doubtful
        return made.resource

    def _make(self, key: ResourceKey) -> _Made:
        doubtful: Doubtful = []
        try:
            return _Made(self._mappings.plain(key.resource_type, self._collections[key], doubtful), doubtful)
        except MappingError as error:
            return _Made(None, [], error)


class _Made(msgspec.Struct):
    """A resource with the doubtful numbers in it, or why there is none."""

    resource: dict[str, Any] | None
    doubtful: Doubtful
    error: MappingError | None = None


class _Read(msgspec.Struct):
    """A record, the change that it tells of, and the resource that its item belongs to."""

    record: Any
    change: Change
    key: ResourceKey | None


class _Detail(msgspec.Struct):
    """A detail as text, with its `meta`, and whether it has a number that a double does not carry."""

    meta: dict[str, Any]
    text: bytes
    doubtful: bool
