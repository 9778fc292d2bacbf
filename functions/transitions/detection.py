"""From a record of the stream to the transitions that its change is.

Follows «Using AWS Lambda with Amazon DynamoDB» of the AWS Lambda Developer Guide for the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from change_stream.attribute_values import encode, plain_value
from common.instants import format_instant
from transitions.conditions import Image
from transitions.errors import UnreadableRecord
from transitions.rules import ObjectOutput, QueueOutput, Rule

OBJECTS = "transitions/"
"""Where in the hub's bucket everything stands that transitions write."""

_IMAGES = {"INSERT": (False, True), "MODIFY": (True, True), "REMOVE": (True, False)}
"""Whether a change has an old and a new image."""


@dataclass(frozen=True, slots=True)
class Record:
    """A change of an item. What is absent of the two images is empty; `written` is the record as it came, of
    which the rest is read when a rule has met it."""

    change: str
    keys: Image = field(repr=False)
    old: Image = field(repr=False)
    new: Image = field(repr=False)
    sequence_number: str
    written: Mapping[str, Any] = field(repr=False)

    @property
    def item_type(self) -> str | None:
        """The item's type as it is now, or as it was before it was removed."""
        value = (self.new or self.old).get("itemType")
        return value.get("S") if isinstance(value, dict) else None

    @property
    def time(self) -> str:
        """When the item changed, in ISO 8601 and UTC; raises `UnreadableRecord`."""
        try:
            return _instant(self.written["dynamodb"]["ApproximateCreationDateTime"])
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            raise UnreadableRecord("A record does not say when it was made.") from None

    @property
    def table(self) -> str:
        """The table's name, out of the ARN of its stream; raises `UnreadableRecord`."""
        return self._of_source(1)

    @property
    def stream(self) -> str:
        """The label of the stream, where a later change has a greater number; raises `UnreadableRecord`."""
        return self._of_source(3)

    def _of_source(self, place: int) -> str:
        try:
            return str(self.written["eventSourceARN"].split(":", 5)[5].split("/")[place])
        except (KeyError, AttributeError, IndexError):
            raise UnreadableRecord("A record does not say of which stream it is.") from None


@dataclass(frozen=True)
class Transition:
    """A change that a rule is about, ready to go out: `attributes` are plain values of the images."""

    rule: Rule
    meta: Mapping[str, str]
    key: Mapping[str, Any] = field(repr=False)
    new: Mapping[str, Any] = field(repr=False)
    old: Mapping[str, Any] = field(repr=False)

    @property
    def transition_id(self) -> str:
        """The same each time that the rule meets this change of this item."""
        return self.meta["transitionId"]

    @property
    def group(self) -> str:
        """Hash of the item's key."""
        return self.meta["itemHash"]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the rule carries: as it is now, or as it was before the item was removed."""
        return self.old if self.meta["change"] == "REMOVE" else self.new

    def message(self, **instead: Any) -> bytes:
        """The message for a worker; `instead` stands where the attributes would. The two characters that JSON
        has without an escape, and SQS in no message («SendMessage», Amazon SQS API Reference), have one."""
        body = encode(
            {
                "transitionId": self.transition_id,
                "rule": self.rule.name,
                "itemType": self.rule.item_type,
                "change": self.meta["change"],
                "key": self.key,
                "stream": self.meta["stream"],
                "sequenceNumber": self.meta["sequenceNumber"],
                "time": self.meta["time"],
                **(instead or {"attributes": self.attributes}),
            }
        )
        return body.replace("\ufffe".encode(), b"\\ufffe").replace("\uffff".encode(), b"\\uffff")

    def written_object(self, output: ObjectOutput) -> tuple[str, bytes]:
        """Key and body of the object that the rule writes."""
        body = output.body.render(self.meta, {"new": self.new, "old": self.old})
        return OBJECTS + output.key.render(self.meta), body


def read(record: Any) -> Record:
    """The record; raises `UnreadableRecord` when it is none of a stream with new and old images."""
    try:
        change, dynamodb = record["eventName"], record["dynamodb"]
        has_old, has_new = _IMAGES[change]
        return Record(
            change,
            _image(dynamodb["Keys"]),
            _image(dynamodb["OldImage"]) if has_old else {},
            _image(dynamodb["NewImage"]) if has_new else {},
            _sequence_number(dynamodb["SequenceNumber"]),
            record,
        )
    except (KeyError, TypeError):
        raise UnreadableRecord("A record is none of a stream with new and old images.") from None


def item_of(record: Any) -> bytes | None:
    """The item's key in one form only, also of a record that cannot be read otherwise; None where it has no
    key."""
    try:
        return canonical(_image(record["dynamodb"]["Keys"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def group_of(record: Any) -> str:
    """The group of a record's messages: a hash of the item's key."""
    return sha256(canonical(record["dynamodb"]["Keys"])).hexdigest()


def detect(record: Record, rules: Mapping[str, Sequence[Rule]]) -> list[Transition]:
    """The transitions that a change is, in the order of the rules; raises `UnreadableRecord` and
    `MalformedRecord`."""
    item_type = record.item_type
    if item_type is None:
        return []
    return [
        _transition(rule, record)
        for rule in rules.get(item_type, ())
        if record.change in rule.on and rule.when.holds(record.old, record.new)
    ]


def transition_id(rule: str, stream: str, keys: Image, sequence_number: str) -> str:
    """A hash of rule, stream, item and place in the stream."""
    return sha256(canonical([rule, stream, keys, sequence_number])).hexdigest()


canonical = msgspec.json.Encoder(order="deterministic").encode
"""JSON in one form only, for hashes."""


@lru_cache(maxsize=16)
def _instant(seconds: float) -> str:
    """Seconds since 1970 in ISO 8601; those of a batch are often the same."""
    return format_instant(datetime.fromtimestamp(seconds, UTC))


def _transition(rule: Rule, record: Record) -> Transition:
    carry = rule.output.carry
    identity = record.keys.get("id", {}).get("S", "")
    return Transition(
        rule=rule,
        meta={
            "rule": rule.name,
            "itemType": rule.item_type,
            "change": record.change,
            "id": identity,
            "itemHash": group_of(record.written),
            "stream": record.stream,
            "sequenceNumber": record.sequence_number,
            "time": record.time,
            "table": record.table,
            "transitionId": transition_id(rule.name, record.stream, record.keys, record.sequence_number),
        },
        key=_plain(record.keys, tuple(record.keys)),
        new=_plain(record.new, carry),
        old=_plain(record.old, carry) if _needs_old(rule, record) else {},
    )


def _needs_old(rule: Rule, record: Record) -> bool:
    return record.change == "REMOVE" or not isinstance(rule.output, QueueOutput)


def _plain(image: Image, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: plain_value(image[name], []) for name in names if name in image}


def _image(written: Any) -> Image:
    if not isinstance(written, dict):
        raise TypeError
    return written


def _sequence_number(written: Any) -> str:
    if not isinstance(written, str) or not written.isascii() or not written.isdigit():
        raise TypeError
    return written
