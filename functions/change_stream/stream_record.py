"""Records of a DynamoDB stream as changes of items.

Follows Amazon DynamoDB Developer Guide, «Change data capture for DynamoDB Streams», and API Reference,
«Record». A record has no identity of its own that stays the same wherever it is read; table, stream, key and
sequence number together have. Sequence numbers of two streams say nothing of each other: a table that was
restored, or whose stream was switched off and on, has another stream, by a label that tells when it began.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from change_stream.attribute_values import Doubtful, Image, plain_item, plain_value, same_value, text_of
from change_stream.errors import Malformed, MalformedRecord
from common.instants import format_instant, parse_instant

_source_of = re.compile(
    r"arn:[\w-]+:dynamodb:[\w-]+:\d{12}:table/([\w.-]+)/stream/([^\s/]{1,64})", re.ASCII
).fullmatch
_is_sequence_number = re.compile(r"[0-9]{1,40}", re.ASCII).fullmatch
_encode = msgspec.json.Encoder(order="sorted").encode

INTERNAL_PREFIX = "#"
"""Sort keys that begin with it are of items that an application keeps for itself."""

_NAMES = {"INSERT": "Insert", "MODIFY": "Modify", "REMOVE": "Remove"}
_NEEDED_IMAGES = {
    "INSERT": ("NewImage",),
    "MODIFY": ("NewImage", "OldImage"),
    "REMOVE": ("OldImage",),
}

_FIRST_MILLISECONDS = 100_000_000_000
"""Numbers from here on count milliseconds: seconds come to it in the year 5138."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Source(msgspec.Struct, frozen=True):
    """Where a record comes from: the table's name, and the label of its stream, a time in ISO 8601."""

    table: str
    stream: str


class Change(msgspec.Struct, frozen=True):
    """A change of one item: `name` is INSERT, MODIFY or REMOVE, `stream` the label of its stream, `time` an
    instant in UTC to the millisecond, `new_image` and `old_image` the item as attribute values after and
    before it."""

    event_id: str
    name: str
    item_type: str
    table: str
    stream: str
    id: str
    sk: str
    sequence_number: str
    time: str
    new_image: Image | None
    old_image: Image | None

    @property
    def kind(self) -> str:
        """What has happened to what, such as `PatientModify`."""
        return self.item_type + _NAMES[self.name]

    @property
    def new(self) -> bytes | None:
        """The item after the change as exact JSON; raises `MalformedRecord`."""
        return None if self.new_image is None else text_of(self.new_image)

    @property
    def old(self) -> bytes | None:
        """The item before the change as exact JSON; raises `MalformedRecord`."""
        return None if self.old_image is None else text_of(self.old_image)

    def plain(self, doubtful: Doubtful) -> dict[str, Any]:
        """What an event tells of the item: `new` unless it was removed, `old` where it was, and of one that
        was modified each attribute that `changed`, with its `old` and `new` value where it had one.
        Adds to `doubtful`; raises `MalformedRecord`."""
        if self.new_image is None:
            return {"old": plain_item(self.old_image or {}, doubtful)}
        new = plain_item(self.new_image, doubtful)
        if self.old_image is None:
            return {"new": new}
        return {"new": new, "changed": _changed(self.new_image, new, self.old_image, doubtful)}


def _changed(
    new_image: Image, new: Mapping[str, Any], old_image: Image, doubtful: Doubtful
) -> dict[str, Any]:
    changed: dict[str, dict[str, Any]] = {}
    for name, before in old_image.items():
        after = new_image.get(name)
        if before == after:
            continue
        old = plain_value(before, doubtful)
        if after is None:
            changed[name] = {"old": old}
        elif not same_value(before, after):
            changed[name] = {"old": old, "new": new[name]}
    for name in new_image:
        if name not in old_image:
            changed[name] = {"new": new[name]}
    return changed


def event_id_of(source: Source, keys: Image, sequence_number: str) -> str:
    """The id of a change wherever it is read and however often: 32 hexadecimal digits."""
    return hashlib.sha256(_encode([source.table, source.stream, keys, sequence_number])).hexdigest()[:32]


def record_identity(record: Any) -> str:
    """The event id of a record, or where it has none a hash of all of it, under which it can be kept."""
    try:
        stream = record["dynamodb"]
        return event_id_of(_source(record), stream["Keys"], _sequence_number(stream))
    except (AttributeError, KeyError, TypeError, ValueError, MalformedRecord):
        whole = json.dumps(record, sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()[:32]


def is_internal(record: Any) -> bool:
    """Whether a record is of an item that an application keeps for itself: nobody is told of it."""
    try:
        sk = record["dynamodb"]["Keys"]["sk"]["S"]
    except (IndexError, KeyError, TypeError):
        return False
    return isinstance(sk, str) and sk.startswith(INTERNAL_PREFIX)


def read_change(record: Any, arrived: datetime, declared: Container[str]) -> Change:
    """The change that a record of a stream tells of an item of a type that is `declared`, and was no other
    declared one before, whose resource would be left behind; raises `MalformedRecord`.

    A record without a time has that of its arrival. Images are looked into only for the item's type: what
    else is wrong with them shows where they are written.
    """
    try:
        change = _read(record, arrived)
        retyped = _is_retyped(change, declared)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise MalformedRecord(Malformed.RECORD) from None
    if change.item_type not in declared:
        raise MalformedRecord(Malformed.ITEM_TYPE)
    if retyped:
        raise MalformedRecord(Malformed.ITEM_TYPE_CHANGED)
    return change


def _is_retyped(change: Change, declared: Container[str]) -> bool:
    if change.new_image is None or change.old_image is None:
        return False
    before = change.old_image.get("itemType")
    if before is None or before == change.new_image["itemType"]:
        return False
    named = before.get("S")
    return type(named) is str and named in declared


def _read(record: Any, arrived: datetime) -> Change:
    name, stream = record.get("eventName"), record["dynamodb"]
    if name not in _NAMES:
        raise MalformedRecord(Malformed.EVENT_NAME)
    keys = stream.get("Keys")
    source, sequence_number = _source(record), _sequence_number(stream)
    item_id, sk = _key_text(keys, "id"), _key_text(keys, "sk")
    if len(keys) != 2:
        raise MalformedRecord(Malformed.KEYS)
    if any(not stream.get(image) for image in _NEEDED_IMAGES[name]):
        raise MalformedRecord(Malformed.IMAGE)
    new_image = None if name == "REMOVE" else stream["NewImage"]
    old_image = None if name == "INSERT" else stream["OldImage"]
    return Change(
        event_id=event_id_of(source, keys, sequence_number),
        name=name,
        item_type=_item_type(new_image or old_image or {}),
        table=source.table,
        stream=source.stream,
        id=item_id,
        sk=sk,
        sequence_number=sequence_number,
        time=_time(stream.get("ApproximateCreationDateTime"), arrived),
        new_image=new_image,
        old_image=old_image,
    )


def _source(record: Mapping[str, Any]) -> Source:
    return _source_named(record.get("eventSourceARN", ""))


@lru_cache(maxsize=64)
def _source_named(arn: str) -> Source:
    found = _source_of(arn)
    if not found:
        raise MalformedRecord(Malformed.SOURCE)
    return Source(found[1], found[2])


def _sequence_number(stream: Mapping[str, Any]) -> str:
    number = stream.get("SequenceNumber", "")
    if not _is_sequence_number(number):
        raise MalformedRecord(Malformed.SEQUENCE_NUMBER)
    return str(number)


def _key_text(keys: Any, name: str) -> str:
    value = keys.get(name, {}).get("S") if isinstance(keys, dict) else None
    if type(value) is not str or not value:
        raise MalformedRecord(Malformed.KEYS)
    return value


def _item_type(image: Image) -> str:
    named = image.get("itemType", {}).get("S")
    if type(named) is not str:
        raise MalformedRecord(Malformed.ITEM_TYPE)
    return named


def _time(given: Any, arrived: datetime) -> str:
    """Lambda and Pipes give seconds since 1970, with a fraction where DynamoDB has one; other readers of
    streams give milliseconds or ISO 8601."""
    if given is None:
        return format_instant(arrived)
    try:
        return format_instant(parse_instant(given)) if isinstance(given, str) else _since_1970(given)
    except (OverflowError, TypeError, ValueError):
        raise MalformedRecord(Malformed.TIME) from None


@lru_cache(maxsize=1024)
def _since_1970(given: float) -> str:
    """Records of a batch have few different times."""
    milliseconds = given if given >= _FIRST_MILLISECONDS else given * 1000
    return format_instant(_EPOCH + timedelta(milliseconds=round(milliseconds)))
