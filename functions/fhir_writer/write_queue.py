"""From events on the bus to messages of the FIFO queue, in order for each resource.

Amazon SQS Developer Guide, «Using the message deduplication ID» and «Using the message group ID».
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import AwsCallFailed, InvalidInput
from common.observability import logger, presentable
from fhir_writer.write_messages import FhirWrite

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

_MOST_ENTRIES = 10


@dataclass(frozen=True)
class _Change:
    message_id: str
    write: FhirWrite


def queue_changes(
    sqs: SQSClient, queue_url: str, records: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, list[dict[str, str]]], int]:
    """Send a message for every record of a batch; returns the `batchItemFailures` and the number of messages
    sent. A change that is sent twice is one message for five minutes, and recognised by the writer later."""
    failed: list[str] = []
    changes: list[_Change] = []
    for record in records:
        try:
            changes.append(_Change(record["messageId"], _write_of(record["body"])))
        except InvalidInput as error:
            presentable(error)
            failed.append(record["messageId"])
    for start in range(0, len(changes), _MOST_ENTRIES):
        failed += _send(sqs, queue_url, changes[start : start + _MOST_ENTRIES])
    for message_id in failed:
        logger().error("message left in the queue", message_id=message_id)
    failures = [{"itemIdentifier": message_id} for message_id in failed]
    return {"batchItemFailures": failures}, len(records) - len(failed)


def _write_of(body: str) -> FhirWrite:
    """The write that an event asks for. An event that only refers to its content has its `meta` all the
    same."""
    try:
        event = json.loads(body)
        meta = event["detail"]["meta"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput("A message is no event with a meta of a change.") from None
    return FhirWrite.from_meta(meta)


def _send(sqs: SQSClient, queue_url: str, changes: Sequence[_Change]) -> list[str]:
    """The ids of the messages whose changes SQS has not taken."""
    entries: list[SendMessageBatchRequestEntryTypeDef] = [
        {
            "Id": str(place),
            "MessageBody": change.write.body(),
            "MessageGroupId": change.write.resource.digest,
            "MessageDeduplicationId": change.write.event_id,
        }
        for place, change in enumerate(changes)
    ]
    answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
    refused = [changes[int(one["Id"])].message_id for one in answer.get("Failed", [])]
    if refused:
        presentable(AwsCallFailed(f"SendMessageBatch did not take {len(refused)} of {len(entries)} entries."))
    return refused
