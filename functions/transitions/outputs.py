"""Where transitions go: the workers' queue, and objects in the hub's bucket.

Every message of one call is of another item, so that a message which SQS refuses alone is not overtaken by a
later one of its item. Follows «SendMessageBatch» of the Amazon SQS API Reference (ten messages a call, and
the limit on their bytes is one for all of them) and «Exactly-once processing in Amazon SQS» of the Amazon SQS
Developer Guide: what is sent twice within five minutes under one deduplication id is taken once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from change_stream.attribute_values import encode
from common.errors import HubError
from common.observability import presentable
from transitions.detection import OBJECTS, Transition
from transitions.errors import OutputFailed
from transitions.rules import ObjectOutput

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

MOST_MESSAGES = 10
MOST_BYTES = 250_000
"""Bytes of a call: under 256 KiB, which is what the smallest of its limits has been."""

MOST_INLINE_BYTES = 200_000
"""A message that is larger refers to an object with its attributes."""


class Outputs:
    """Sends transitions on. Doing it twice changes nothing: messages repeat their deduplication id, objects
    have the same key and the same bytes."""

    def __init__(self, sqs: SQSClient, s3: S3Client, queue_url: str, bucket: str) -> None:
        self._sqs = sqs
        self._s3 = s3
        self._queue_url = queue_url
        self._bucket = bucket

    def send(self, transitions: Sequence[Transition]) -> set[int]:
        """Send transitions of items that are all different; the places of those that were not accepted."""
        refused: set[int] = set()
        messages: list[tuple[int, Transition, str]] = []
        for place, transition in enumerate(transitions):
            try:
                if isinstance(transition.rule.output, ObjectOutput):
                    self._put(*transition.written_object(transition.rule.output))
                else:
                    messages.append((place, transition, self._message(transition)))
            except (HubError, ClientError, BotoCoreError) as error:
                presentable(error)
                refused.add(place)
        for call in _calls(messages):
            refused |= self._send(call)
        return refused

    def _message(self, transition: Transition) -> str:
        body = transition.message()
        if len(body) > MOST_INLINE_BYTES:
            key = f"{OBJECTS}attributes/{transition.transition_id}.json"
            attributes = encode(transition.attributes)
            self._put(key, attributes)
            reference = {"bucket": self._bucket, "key": key, "length": len(attributes)}
            body = transition.message(reference=reference)
        return body.decode()

    def _put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json")

    def _send(self, call: Sequence[tuple[int, Transition, str]]) -> set[int]:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {
                "Id": str(place),
                "MessageBody": body,
                "MessageGroupId": transition.group,
                "MessageDeduplicationId": transition.transition_id,
            }
            for place, transition, body in call
        ]
        try:
            answer = self._sqs.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            presentable(error)
            return {place for place, _, _ in call}
        failed = answer.get("Failed", [])
        for one in failed:
            presentable(OutputFailed(f"SendMessageBatch refused a message with {one['Code']}."))
        return {int(one["Id"]) for one in failed}


def _calls(
    messages: Sequence[tuple[int, Transition, str]],
) -> Iterator[list[tuple[int, Transition, str]]]:
    """The messages in calls that SQS takes."""
    call: list[tuple[int, Transition, str]] = []
    size = 0
    for message in messages:
        length = len(message[2].encode())
        if call and (len(call) == MOST_MESSAGES or size + length > MOST_BYTES):
            yield call
            call, size = [], 0
        call.append(message)
        size += length
    if call:
        yield call
