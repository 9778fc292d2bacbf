"""The identity of a dead letter, by which its redrives are counted.

SQS gives a message a new id whenever it is moved or sent, so the id cannot tell that a message came back. The
identity can: a hash of the queue, the group, and what stays the same when the same thing dies again:

| kind         | of the body                              | of the message attributes                      |
|--------------|------------------------------------------|------------------------------------------------|
| sqs          | all of it                                | all but the mark of a redrive                  |
| rule         | all of it                                | `RULE_ARN`, `TARGET_ARN`                       |
| schedule     | all of it                                | `SCHEDULE_ARN`, `SCHEDULED_TIME`, `TARGET_ARN` |
| async        | function and payload of a failure record | none: they tell of one invocation              |
| bus          | all but the id, which each put makes     | none                                           |
| stream, pipe | who failed, and where in the stream      | none                                           |

A body in another shape counts as a whole. Two messages that are alike in all of this cannot be told apart:
they share one identity and one count. No content can be read out of an identity, so it may stand in keys and
logs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from dlq_redrive.dead_letter import REDRIVE_ATTRIBUTE, DeadLetter
from dlq_redrive.failure_records import BusEvent, InvocationRecord, PositionRecord, read_record

_IDENTIFYING: Mapping[str, tuple[str, ...]] = {
    "rule": ("RULE_ARN", "TARGET_ARN"),
    "schedule": ("SCHEDULE_ARN", "SCHEDULED_TIME", "TARGET_ARN"),
}


def message_identity(queue_arn: str, kind: str, letter: DeadLetter) -> str:
    """The identity of a message of a queue of that kind: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    group = letter.group_id
    for part in (queue_arn, "" if group is None else f"group {group}", *_of_body(kind, letter.body)):
        _add(digest, part)
    for part in _of_attributes(kind, letter):
        _add(digest, part)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, part: str | bytes) -> None:
    """Every part with its length before it, so that no two lists of parts look alike."""
    content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
    digest.update(len(content).to_bytes(8, "big"))
    digest.update(content)


def _of_body(kind: str, body: str) -> tuple[str | bytes, ...]:
    if kind == "async" and (invocation := read_record(body, InvocationRecord)):
        return ("invocation", invocation.function_arn, bytes(invocation.requestPayload))
    if kind == "bus" and (event := read_record(body, BusEvent)):
        return ("event", event.source, event.detail_type, event.time, bytes(event.detail), *event.resources)
    if kind in ("stream", "pipe") and (record := read_record(body, PositionRecord)):
        at = record.DDBStreamBatchInfo
        who = record.requestContext.functionArn or record.context.partnerResourceArn
        return ("position", who, at.streamArn, at.shardId, at.startSequenceNumber, at.endSequenceNumber)
    return ("body", body)


def _of_attributes(kind: str, letter: DeadLetter) -> Iterator[str | bytes]:
    if kind == "sqs":
        names = sorted(set(letter.message_attributes) - {REDRIVE_ATTRIBUTE})
    else:
        names = [name for name in _IDENTIFYING.get(kind, ()) if name in letter.message_attributes]
    for name in names:
        attribute = letter.message_attributes[name]
        yield name
        yield attribute.get("DataType", "")
        yield attribute.get("StringValue") or attribute.get("BinaryValue") or ""
