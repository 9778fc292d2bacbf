"""Quarantine of dead letters: whole messages, kept until a person decides.

One object in the hub's bucket for each message, `dead-letters/<queue name>/<identity>-<message id>.json`, so
that writing it again changes nothing:

    {"queue", "queueArn", "kind", "messageId", "identity", "body", "messageAttributes", "attributes",
     "firstFailedAt", "lastFailedAt", "redrives", "history", "bulkAt", "reason", "quarantinedAt", "edits",
     "returned"}

`messageAttributes` are as SQS gives them, with binary values in base64; `attributes` are SQS's own (when it
was sent, its group, where it died). Instants are in UTC. Keys hold hashes and ids only. `redrives` and
`history` have what was sent back one by one. `bulkAt` is there only where one redrive more was counted: when
SQS itself last began to redrive the queue, of which nothing tells whether this message was part.

The last two are there only once a person has changed the body, or asked for the message to be sent back:
`edits` has the bodies before, each with when it was changed and by whom, `returned` who claimed the message
and when, and `sentAt` as soon as it is known to be sent.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from common.errors import InvalidInput
from common.instants import format_instant
from dlq_redrive.arns import name_of_queue
from dlq_redrive.dead_letter import KINDS, DeadLetter, DeadLetterQueue
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.redrive_counts import Redrives

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "dead-letters/"

_KEY = re.compile(r"dead-letters/[\w-]{1,80}(?:\.fifo)?/[0-9a-f]{64}-[\w-]{1,100}\.json", re.ASCII)
_THERE_ALREADY = frozenset({"PreconditionFailed", "412"})


@dataclass(frozen=True)
class QuarantinedLetter:
    """A dead letter in quarantine."""

    queue_arn: str
    kind: str
    message_id: str
    identity: str
    body: str = field(repr=False)
    message_attributes: Mapping[str, Mapping[str, Any]] = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)
    first_failed_at: str
    last_failed_at: str
    redrives: int
    history: tuple[Mapping[str, str], ...]
    reason: str
    quarantined_at: str
    bulk_at: str | None = None
    edits: tuple[Mapping[str, str], ...] = field(default=(), repr=False)
    returned: Mapping[str, str] | None = None

    @classmethod
    def of(
        cls,
        queue: DeadLetterQueue,
        letter: DeadLetter,
        identity: str,
        redrives: Redrives,
        reason: Reason,
        now: datetime,
        bulk_at: datetime | None = None,
    ) -> QuarantinedLetter:
        """A message with what is known of it; `bulk_at` is when a redrive by SQS began that counts."""
        failed_at = format_instant(letter.failed_at(queue.kind))
        return cls(
            queue_arn=queue.arn,
            kind=queue.kind,
            message_id=letter.message_id,
            identity=identity,
            body=letter.body,
            message_attributes=letter.message_attributes,
            attributes=letter.attributes,
            first_failed_at=min(redrives.first_failed_at or failed_at, failed_at),
            last_failed_at=failed_at,
            redrives=redrives.number,
            history=redrives.history,
            reason=reason.value,
            quarantined_at=format_instant(now),
            bulk_at=None if bulk_at is None else format_instant(bulk_at),
        )

    @property
    def queue_name(self) -> str:
        """The name of the queue that it lay in."""
        return name_of_queue(self.queue_arn)

    @property
    def key(self) -> str:
        """The key of its object."""
        return f"{PREFIX}{self.queue_name}/{self.identity}-{self.message_id}.json"

    def to_json(self) -> bytes:
        """The content of its object."""
        facts = {
            "queue": self.queue_name,
            "queueArn": self.queue_arn,
            "kind": self.kind,
            "messageId": self.message_id,
            "identity": self.identity,
            "body": self.body,
            "messageAttributes": {name: _written(value) for name, value in self.message_attributes.items()},
            "attributes": dict(self.attributes),
            "firstFailedAt": self.first_failed_at,
            "lastFailedAt": self.last_failed_at,
            "redrives": self.redrives,
            "history": [dict(entry) for entry in self.history],
            **({"bulkAt": self.bulk_at} if self.bulk_at is not None else {}),
            "reason": self.reason,
            "quarantinedAt": self.quarantined_at,
            **({"edits": [dict(edit) for edit in self.edits]} if self.edits else {}),
            **({"returned": dict(self.returned)} if self.returned is not None else {}),
        }
        return json.dumps(facts, indent=2).encode()

    @classmethod
    def from_json(cls, content: bytes) -> QuarantinedLetter:
        """The letter in an object; raises `InvalidInput` when it holds none, without quoting it."""
        try:
            facts = json.loads(content)
            attributes = {name: _read(value) for name, value in facts["messageAttributes"].items()}
            return cls(
                queue_arn=_text(facts["queueArn"]),
                kind=_kind(facts["kind"]),
                message_id=_text(facts["messageId"]),
                identity=_text(facts["identity"]),
                body=_text(facts["body"]),
                message_attributes=attributes,
                attributes={name: _text(value) for name, value in facts["attributes"].items()},
                first_failed_at=_text(facts["firstFailedAt"]),
                last_failed_at=_text(facts["lastFailedAt"]),
                redrives=int(facts["redrives"]),
                history=tuple(facts["history"]),
                reason=_text(facts["reason"]),
                quarantined_at=_text(facts["quarantinedAt"]),
                bulk_at=_text(facts["bulkAt"]) if "bulkAt" in facts else None,
                edits=tuple(_texts(edit) for edit in facts.get("edits", ())),
                returned=_texts(facts["returned"]) if "returned" in facts else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InvalidInput("The object holds no dead letter as quarantine writes them.") from None

    def edited(self, body: str, by: str, now: datetime) -> QuarantinedLetter:
        """The same letter with another body, under the same key; the body before it is kept beside it."""
        edit = {"at": format_instant(now), "by": by, "body": self.body}
        return replace(self, body=body, edits=(*self.edits, edit))

    def claimed(self, claim: Mapping[str, str] | None) -> QuarantinedLetter:
        """The same letter, claimed by whoever sends it back, or by nobody."""
        return replace(self, returned=claim)

    def to_letter(self) -> DeadLetter:
        """The message, to be sent back; it has no receipt any more."""
        return DeadLetter(self.message_id, "", self.body, self.message_attributes, self.attributes)


@dataclass(frozen=True)
class Listed:
    """An object of the quarantine, as a listing shows it."""

    key: str
    size: int
    written_at: datetime


class DeadLetterQuarantine:
    """The dead letters in quarantine. Reading and listing touch nothing outside of `dead-letters/`."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, letter: QuarantinedLetter) -> None:
        """Write a letter. One that is there already stays, since it may have been edited meanwhile."""
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=letter.key,
                Body=letter.to_json(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _THERE_ALREADY:
                raise

    def read(self, key: str) -> tuple[QuarantinedLetter, str]:
        """The letter of a key, and the ETag by which a change can be made conditional; raises `InvalidInput`
        for a key outside of the quarantine and for an object that is no dead letter."""
        answer = self._s3.get_object(Bucket=self._bucket, Key=require_key(key))
        return QuarantinedLetter.from_json(answer["Body"].read()), answer["ETag"]

    def list(self, queue_name: str = "") -> Iterator[Listed]:
        """Every object, or those of one queue, in the order of their keys."""
        prefix = f"{PREFIX}{queue_name}/" if queue_name else PREFIX
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            for entry in page.get("Contents", []):
                yield Listed(entry["Key"], entry["Size"], entry["LastModified"])


def require_key(key: str) -> str:
    """`key`, if it is one that quarantine gives; raises `InvalidInput` otherwise."""
    if not _KEY.fullmatch(key):
        raise InvalidInput(f"A key of a quarantined dead letter begins with {PREFIX} and ends with .json.")
    return key


def _written(attribute: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64encode(value).decode() if name == "BinaryValue" else value
        for name, value in attribute.items()
        if name in ("DataType", "StringValue", "BinaryValue")
    }


def _read(attribute: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64decode(value, validate=True) if name == "BinaryValue" else value
        for name, value in attribute.items()
    }


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items()}


def _kind(value: object) -> str:
    if value not in KINDS:
        raise ValueError
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
