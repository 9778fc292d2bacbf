"""Items of uploads in the jobs table: one for each key, of its latest event.

What is older than what the item tells of is recognised by S3's sequencer, in the condition of the write, so
that notifications may come twice and in any order. A version that was deleted before the notification of its
upload came is remembered in the item until that one comes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from common.table_values import attribute, attributes
from uploads.notifications import Happened, ObjectEvent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEM_TYPE = "Upload"

_KEY = re.compile(r"uploads/(?P<identity>[A-Za-z0-9][A-Za-z0-9._@=+-]{0,127})/(?P<name>.+)", re.DOTALL)


class Phase(StrEnum):
    """Where an upload is. Workers add their own."""

    UPLOADED = "UPLOADED"
    DELETED = "DELETED"
    REJECTED = "REJECTED"


class Rejection(StrEnum):
    """Why nobody will work on an upload."""

    TOO_LARGE = "TOO_LARGE"
    KEY_SHAPE = "KEY_SHAPE"


class Recorded(StrEnum):
    """What became of an event."""

    UPLOADED = "UPLOADED"
    DELETED = "DELETED"
    REJECTED = "REJECTED"
    STALE = "STALE"
    """The item tells of this event already, or of a later one."""


def item_id(bucket: str, key: str) -> str:
    """The id of a key's item: a hash, since the key may say whom the object is about."""
    return "UPLOAD#" + sha256(f"{bucket}/{key}".encode()).hexdigest()


def identity_of(key: str) -> str | None:
    """Whose prefix a key is below; None where it is of another shape."""
    found = _KEY.fullmatch(key)
    return found["identity"] if found else None


@dataclass(frozen=True)
class UploadItems:
    """Writes items of uploads. `most_bytes` is the largest object that is not rejected."""

    dynamodb: DynamoDBClient
    table: str
    most_bytes: int

    def record(self, event: ObjectEvent) -> Recorded:
        """Record an event, unless it is stale; what became of it."""
        if event.happened is Happened.VERSION_DELETED:
            return self._version_gone(event)
        facts = self._facts(event)
        written = self._write(event, facts, unless_gone=event.happened is Happened.CREATED)
        if written is None:
            return Recorded(facts["phase"])
        if event.version_id in written.get("goneVersions", {}).get("SS", ()) and _is_older(written, event):
            gone = _deleted(event)
            return Recorded.STALE if self._write(event, gone) is not None else Recorded.DELETED
        return Recorded.STALE

    def _facts(self, event: ObjectEvent) -> dict[str, Any]:
        if event.happened is not Happened.CREATED:
            return _deleted(event)
        reason = self._rejection(event)
        return {
            "phase": Phase.REJECTED if reason else Phase.UPLOADED,
            "reason": reason,
            "size": event.size,
            "etag": event.etag,
            "versionId": event.version_id,
            "uploadedAt": event.time,
        }

    def _rejection(self, event: ObjectEvent) -> Rejection | None:
        if identity_of(event.key) is None:
            return Rejection.KEY_SHAPE
        return Rejection.TOO_LARGE if event.size > self.most_bytes else None

    def _write(
        self, event: ObjectEvent, facts: Mapping[str, Any], *, unless_gone: bool = False
    ) -> Mapping[str, Any] | None:
        """Write what an event says in place of an older one; else the item as it is."""
        condition = "(attribute_not_exists(id) OR #sequence < :sequence)"
        if unless_gone and event.version_id:
            condition += " AND NOT contains(goneVersions, :versionId)"
        return self._update(event, {**_standing(event), **facts}, condition, _OF_AN_EVENT)

    def _version_gone(self, event: ObjectEvent) -> Recorded:
        """The upload that the item tells of is deleted with its version; another version's end changes
        nothing, unless its upload is yet to be told of."""
        condition = "attribute_not_exists(id) OR (#sequence < :sequence AND versionId = :versionId)"
        facts = {**_standing(event), **_deleted(event)}
        found = self._update(event, facts, condition, _OF_AN_EVENT)
        if found is None:
            return Recorded.DELETED
        if _is_older(found, event):
            self._remember_gone(event)
        return Recorded.STALE

    def _remember_gone(self, event: ObjectEvent) -> None:
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key={"id": attribute(item_id(event.bucket, event.key))},
                UpdateExpression="ADD goneVersions :gone",
                ConditionExpression="#sequence < :sequence AND versionId <> :versionId",
                ExpressionAttributeNames={"#sequence": "sequence"},
                ExpressionAttributeValues={
                    ":gone": {"SS": [str(event.version_id)]},
                    ":sequence": attribute(event.sequence),
                    ":versionId": attribute(str(event.version_id)),
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise

    def _update(
        self, event: ObjectEvent, facts: Mapping[str, Any], condition: str, names: tuple[str, ...]
    ) -> Mapping[str, Any] | None:
        """Set the facts and remove the other names, or nothing where the condition does not hold; then the
        item as it is."""
        values = {name: value for name, value in facts.items() if value is not None}
        removed = [name for name in names if name not in values]
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
        if removed:
            update += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        given = attributes({f":{name}": value for name, value in values.items()})
        if ":versionId" in condition:
            given[":versionId"] = attribute(str(event.version_id))
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key={"id": attribute(item_id(event.bucket, event.key))},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in (*values, *removed)},
                ExpressionAttributeValues=given,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            found: Mapping[str, Any] = error.response.get("Item", {})  # type: ignore[assignment]
            return found
        return None


_OF_AN_EVENT = (
    "reason",
    "size",
    "etag",
    "versionId",
    "uploadedAt",
    "deletedAt",
    "processedAt",
    "processedBy",
)
"""What is of one event alone, and goes when the item tells of another."""


def _standing(event: ObjectEvent) -> dict[str, Any]:
    return {
        "itemType": ITEM_TYPE,
        "bucket": event.bucket,
        "key": event.key,
        "identity": identity_of(event.key),
        "sequencer": event.sequencer,
        "sequence": event.sequence,
    }


def _deleted(event: ObjectEvent) -> dict[str, Any]:
    return {"phase": Phase.DELETED, "versionId": event.version_id, "deletedAt": event.time}


def _is_older(item: Mapping[str, Any], event: ObjectEvent) -> bool:
    return str(item.get("sequence", {}).get("S", "")) < event.sequence
