"""Items of uploads in the jobs table: one for each key, of its latest event.

What is older than what the item tells of is recognised by S3's sequencer, in the condition of the write, so
that notifications may come twice and in any order. A version that was deleted before the notification of its
upload came is remembered in the item until that one comes (`goneVersions`, in the order of their coming).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from common.errors import AwsCallFailed
from common.table_values import attribute
from uploads.notifications import Happened, ObjectEvent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ITEM_TYPE = "Upload"

MOST_GONE = 100
"""How many gone versions an item remembers, the newest. One whose upload had been told of before leaves no
notification to come, and nobody knows which those are. What is forgotten would have to come later than a
hundred deletions of versions of its key, and counts even then only where nothing newer is told of the key."""

_TRIES = 5
"""How often an item is read anew that another notification changes meanwhile."""

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
        record = self._version_gone if event.happened is Happened.VERSION_DELETED else self._latest
        for _ in range(_TRIES):
            outcome = record(event)
            if outcome is not None:
                return outcome
        raise AwsCallFailed("UpdateItem found the item of an upload changed in every try.")

    def _latest(self, event: ObjectEvent) -> Recorded | None:
        """What became of an upload or a delete marker; None when the item was changed meanwhile."""
        facts = self._facts(event)
        found = self._write(event, facts, unless_gone=event.happened is Happened.CREATED)
        if found is None:
            return Recorded(facts["phase"])
        gone = _gone(found)
        if event.happened is not Happened.CREATED or event.version_id not in gone:
            return None if _is_older(found, event) else Recorded.STALE
        rest = [one for one in gone if one != event.version_id]
        if _is_older(found, event):
            told = {**_standing(event), **_deleted(event), "goneVersions": rest}
            late = self._update(event, told, _AS_FOUND, (*_OF_AN_EVENT, "goneVersions"), found)
            return Recorded.DELETED if late is None else None
        late = self._update(event, {"goneVersions": rest}, _AS_FOUND, ("goneVersions",), found)
        return Recorded.STALE if late is None else None

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

    def _version_gone(self, event: ObjectEvent) -> Recorded | None:
        """The upload that the item tells of is deleted with its version; another version's end changes
        nothing, unless its upload is yet to be told of. None when the item was changed meanwhile."""
        condition = "attribute_not_exists(id) OR (#sequence < :sequence AND versionId = :versionId)"
        facts = {**_standing(event), **_deleted(event)}
        found = self._update(event, facts, condition, _OF_AN_EVENT)
        if found is None:
            return Recorded.DELETED
        gone = _gone(found)
        if not _is_older(found, event) or event.version_id in gone:
            return Recorded.STALE
        kept = [*gone, event.version_id][-MOST_GONE:]
        changed = self._update(event, {"goneVersions": kept}, _AS_FOUND, (), found)
        return Recorded.STALE if changed is None else None

    def _update(
        self,
        event: ObjectEvent,
        facts: Mapping[str, Any],
        condition: str,
        names: tuple[str, ...],
        found: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any] | None:
        """Set the facts and remove the other names, or nothing where the condition does not hold; then the
        item as it is. `_AS_FOUND` is the condition that it is still as it was `found`."""
        values = {name: value for name, value in facts.items() if value not in (None, [])}
        removed = [name for name in names if name not in values]
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in values) if values else ""
        if removed:
            update += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        given: dict[str, Any] = {f":{name}": _attribute(value) for name, value in values.items()}
        if ":versionId" in condition:
            given[":versionId"] = attribute(str(event.version_id))
        names_of = {f"#{name}": name for name in (*values, *removed)}
        if found is not None:
            given |= {":seen": found["sequence"], ":before": found.get("goneVersions", attribute(""))}
            names_of |= {"#sequence": "sequence", "#goneVersions": "goneVersions"}
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key={"id": attribute(item_id(event.bucket, event.key))},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names_of,
                ExpressionAttributeValues=given,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            item: Mapping[str, Any] = error.response.get("Item", {})  # type: ignore[assignment]
            return item
        return None


_AS_FOUND = "#sequence = :seen AND (attribute_not_exists(#goneVersions) OR #goneVersions = :before)"

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


def _gone(item: Mapping[str, Any]) -> list[str]:
    return [one["S"] for one in item.get("goneVersions", {}).get("L", ())]


def _attribute(value: Any) -> Any:
    return {"L": [attribute(one) for one in value]} if isinstance(value, list) else attribute(value)


def _is_older(item: Mapping[str, Any], event: ObjectEvent) -> bool:
    return str(item.get("sequence", {}).get("S", "")) < event.sequence
