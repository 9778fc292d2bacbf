"""What a message of the jobs queue says: which rule matched for which item, and what it carries of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from hub_worker.errors import PoisonMessage

_TRANSITION_ID = re.compile(r"[0-9a-f]{16,64}")


class Reference(msgspec.Struct, frozen=True):
    """An object with a JSON object of attributes. `length` is its size in bytes."""

    bucket: str
    key: str
    length: int


@dataclass(frozen=True)
class JobMessage:
    """One transition, as functions/transitions/ sends it. It is the same job however often it arrives."""

    transition_id: str
    rule: str
    item_type: str
    item_id: str
    sequence_number: str
    attributes: Mapping[str, Any]
    reference: Reference | None = None
    """Where the attributes are, when they are too large to travel."""

    @property
    def job_id(self) -> str:
        """The key of the item that records the job's effect."""
        return f"JOB#{self.transition_id}"

    def text(self, attribute: str) -> str:
        """A text that the message carries; raises PoisonMessage naming it when it does not."""
        value = self.attributes.get(attribute)
        if not isinstance(value, str) or not value:
            raise PoisonMessage(f"The message carries no {attribute}.")
        return value

    def optional(self, attribute: str) -> str | None:
        """A text that the message may carry."""
        value = self.attributes.get(attribute)
        return value if isinstance(value, str) and value else None


class _Body(msgspec.Struct):
    transitionId: str  # noqa: N815
    rule: str
    itemType: str  # noqa: N815
    key: dict[str, str]
    sequenceNumber: str  # noqa: N815
    attributes: dict[str, Any] = {}
    reference: Reference | None = None


_decoder = msgspec.json.Decoder(_Body)
_attributes = msgspec.json.Decoder(dict[str, Any])


def parse_message(body: str) -> JobMessage:
    """The job that a message's body asks for; raises PoisonMessage when it asks for none."""
    try:
        parsed = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise PoisonMessage("The body is not that of a transition.") from None
    if not _TRANSITION_ID.fullmatch(parsed.transitionId) or not parsed.key.get("id"):
        raise PoisonMessage("The body names no transition or no item.")
    return JobMessage(
        parsed.transitionId,
        parsed.rule,
        parsed.itemType,
        parsed.key["id"],
        parsed.sequenceNumber,
        parsed.attributes,
        parsed.reference,
    )


def with_attributes(message: JobMessage, content: bytes) -> JobMessage:
    """The message with the attributes that it refers to; raises PoisonMessage when they are none."""
    try:
        return replace(message, attributes=_attributes.decode(content), reference=None)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise PoisonMessage("What the message refers to are no attributes.") from None
