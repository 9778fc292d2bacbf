"""Notifications of Amazon S3, as Amazon SNS gives them to a function.

Follows «Event message structure» of the Amazon S3 User Guide: keys are URL-encoded, a message may have
several records, a test message comes when notifications are turned on, and of two events on one key the later
has the greater sequencer, when the shorter one is padded with zeros on the right. For the wrapping, «Invoking
Lambda functions with Amazon SNS notifications» of the AWS Lambda Developer Guide; what an undeliverable
notification looks like in a queue, «Amazon SNS dead-letter queues» of the Amazon SNS Developer Guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

from common.instants import format_instant, parse_instant
from uploads.errors import UnreadableNotification

SEQUENCE_LENGTH = 64
"""Sequencers are padded to it, so that DynamoDB compares them as texts. AWS's have had 16 to 18 digits."""

_SEQUENCER = re.compile(rf"[0-9A-Fa-f]{{1,{SEQUENCE_LENGTH}}}", re.ASCII)


class Happened(StrEnum):
    """What happened to an object."""

    CREATED = "CREATED"
    DELETED = "DELETED"
    VERSION_DELETED = "VERSION_DELETED"


_BEGINNINGS = {
    "ObjectCreated:": Happened.CREATED,
    "ObjectRemoved:DeleteMarkerCreated": Happened.DELETED,
    "ObjectRemoved:Delete": Happened.VERSION_DELETED,
    "LifecycleExpiration:DeleteMarkerCreated": Happened.DELETED,
    "LifecycleExpiration:Delete": Happened.VERSION_DELETED,
}


@dataclass(frozen=True)
class ObjectEvent:
    """One event on one key. `size` is in bytes, `time` in ISO 8601 and UTC. Of a bucket without versions
    `version_id` is None; then a deleted version is the object itself."""

    happened: Happened
    bucket: str
    key: str = field(repr=False)
    sequencer: str
    time: str
    size: int = 0
    etag: str | None = None
    version_id: str | None = None

    @property
    def sequence(self) -> str:
        """The sequencer in the form in which two of one key compare as texts."""
        return self.sequencer.upper().ljust(SEQUENCE_LENGTH, "0")


def notifications(event: Mapping[str, Any]) -> list[Any]:
    """The notifications in a function's event: of its records, or the event itself, which is how a dead
    letter of the subscription keeps one. Raises `UnreadableNotification`."""
    if event.get("Type") == "Notification":
        return [event]
    try:
        return [record["Sns"] for record in event["Records"]]
    except (KeyError, TypeError):
        raise UnreadableNotification("The event is none of Amazon SNS.") from None


def object_events(notification: Mapping[str, Any]) -> Iterator[ObjectEvent]:
    """The events in one notification; none for a test message and for what else may happen to an object.
    Raises `UnreadableNotification`."""
    try:
        message = json.loads(notification["Message"])
        if message.get("Event") == "s3:TestEvent":
            return
        for one in message["Records"]:
            happened = _happened(one["eventName"])
            if happened is not None:
                yield _event(one, happened)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise UnreadableNotification("A message is none of Amazon S3's notifications.") from None


def _happened(name: str) -> Happened | None:
    plain = name.removeprefix("s3:")
    return next((one for beginning, one in _BEGINNINGS.items() if plain.startswith(beginning)), None)


def _event(record: Mapping[str, Any], happened: Happened) -> ObjectEvent:
    about = record["s3"]["object"]
    time = format_instant(parse_instant(record["eventTime"]))
    sequencer = about.get("sequencer") or _from_time(time)
    if not _SEQUENCER.fullmatch(sequencer):
        raise ValueError
    version = about.get("versionId")
    if happened is Happened.VERSION_DELETED and not version:
        happened = Happened.DELETED
    return ObjectEvent(
        happened=happened,
        bucket=_text(record["s3"]["bucket"]["name"]),
        key=unquote_plus(_text(about["key"]), errors="strict"),
        sequencer=sequencer,
        time=time,
        size=int(about.get("size") or 0),
        etag=_text(about["eTag"]) if about.get("eTag") else None,
        version_id=_text(version) if version else None,
    )


def _from_time(time: str) -> str:
    """A stand-in for the sequencer, which expirations may lack: real ones begin with the seconds since 1970,
    as ten digits."""
    return f"{int(parse_instant(time).timestamp()):010X}"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value
