"""What travels from the consumers of changes to the FHIR writer: which resource to look at, and why."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from common.errors import InvalidInput
from common.names import camel_case

_HASH_DIGITS = 32

# FHIR R4, «id» and the names of resource types; the REST paths are made of both.
_RESOURCE_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_RESOURCE_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")

# Amazon DynamoDB Streams API Reference, «StreamRecord»: 21 to 40 characters, digits in practice.
_SEQUENCE_NUMBER = re.compile(r"\d{1,40}")
SEQUENCE_DIGITS = 40


@dataclass(frozen=True)
class ResourceName:
    """A FHIR resource by type and id."""

    resource_type: str
    resource_id: str

    @property
    def digest(self) -> str:
        """A hash for keys and message groups, which may hold no id of a person."""
        return _digest(f"{self.resource_type}/{self.resource_id}")


@dataclass(frozen=True)
class Delivery:
    """One time that SQS has handed out a message: its id, and the how-manieth time it was.

    A message that comes again has been hidden for longer than its reader before could live (six times the
    function's timeout), so that reader has ended.
    """

    message_id: str
    count: int


@dataclass(frozen=True)
class FhirWrite:
    """A change of an item by which a resource may look different. What the resource looks like is read from
    the records when it is written: changes may arrive out of order, records do not."""

    event_id: str
    item_type: str
    id: str
    sk: str
    stream: str
    sequence_number: str
    resource_type: str
    resource_id: str

    @classmethod
    def from_meta(cls, meta: Any) -> FhirWrite:
        """The change that `meta` of an event, or a message's body, is about; raises `InvalidInput` naming
        the field that is missing or malformed."""
        if not isinstance(meta, Mapping):
            raise InvalidInput("A change needs an object with its fields.")
        write = cls(**{name: _text(meta, camel_case(name)) for name in cls.__dataclass_fields__})
        for value, pattern, name in (
            (write.resource_id, _RESOURCE_ID, "resourceId"),
            (write.resource_type, _RESOURCE_TYPE, "resourceType"),
            (write.sequence_number, _SEQUENCE_NUMBER, "sequenceNumber"),
        ):
            if not pattern.fullmatch(value):
                raise InvalidInput(f"The field {name} of a change is malformed.")
        return write

    @property
    def resource(self) -> ResourceName:
        """The resource to write."""
        return ResourceName(self.resource_type, self.resource_id)

    @property
    def item(self) -> str:
        """A hash of the item in its stream: sequence numbers of one item can be compared, of two not, nor
        those of two streams, as a table has had that was restored."""
        return _digest(json.dumps([self.stream, self.id, self.sk]))[:16]

    @property
    def sequence(self) -> str:
        """The sequence number with leading zeros, so that a later one is a greater text. As a DynamoDB number
        it would be rounded: those have 38 digits."""
        return self.sequence_number.zfill(SEQUENCE_DIGITS)

    def body(self) -> str:
        """The text of the message."""
        return json.dumps({camel_case(name): value for name, value in asdict(self).items()})


def _text(meta: Mapping[str, Any], name: str) -> str:
    value = meta.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"The field {name} of a change is missing or no text.")
    return value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]
