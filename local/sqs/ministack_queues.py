"""The queues of ministack's SQS, as message-move tasks see them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from local.account.ministack_names import ministack
from local.sqs.move_tasks import NO_QUEUE, MoveFailed, QueueFacts
from local.sqs.moving import Waiting

_ORIGIN = "DeadLetterQueueSourceArn"
_TRACE = "AWSTraceHeader"


class MinistackQueues:
    """Implements `Queues` on ministack's records, for the account and region of the request in whose context
    it is called."""

    def __init__(self) -> None:
        self._sqs = ministack("ministack.services.sqs")

    def held(self) -> AbstractContextManager[Any]:
        """ministack's own lock, which its pollers hold, and its handlers once `queue_lock` is registered."""
        lock: AbstractContextManager[Any] = self._sqs._queues_lock
        return lock

    def facts(self, arn: str) -> QueueFacts | None:
        queue = self._sqs._queue_by_arn(arn)
        if queue is None:
            return None
        return QueueFacts(
            arn=arn,
            fifo=bool(queue["is_fifo"]),
            source_arns=tuple(source["attributes"]["QueueArn"] for source in self.sources(arn)),
            key_arn=_key_arn(queue["attributes"].get("KmsMasterKeyId")),
        )

    def sources(self, arn: str) -> list[Mapping[str, Any]]:
        """Queues of the account and region whose redrive policy names the queue, in order of creation."""
        queues = list(self._sqs._queues.values())
        return [queue for queue in queues if dead_letter_arn_of(queue) == arn]

    def waiting(self, arn: str, limit: int | None = None) -> list[Waiting]:
        queue = self._sqs._queue_by_arn(arn)
        if queue is None:
            return []
        self._sqs._expire_retained(queue)
        now, found, blocked = time.time(), list[Waiting](), set[str]()
        for message in queue["messages"]:
            if limit is not None and len(found) >= limit:
                break
            self._sqs._ensure_msg_fields(message)
            group = message["group_id"] if queue["is_fifo"] else None
            if message["visible_at"] > now:
                blocked.update({group} if group else ())
            elif group not in blocked:
                found.append(Waiting(message["sys"].get(_ORIGIN), message))
        return found

    def put(self, arn: str, message: Waiting) -> None:
        record = message.record
        queue = self._sqs._queue_by_arn(arn)
        if queue is None:
            raise MoveFailed(NO_QUEUE)
        data = {"MessageBody": record["body"], "MessageAttributes": record["message_attributes"]}
        if record["group_id"]:
            data["MessageGroupId"] = record["group_id"]
        if queue["is_fifo"]:
            data["MessageDeduplicationId"] = record["id"]
        if record["sys"].get(_TRACE):
            data["MessageSystemAttributes"] = {_TRACE: {"StringValue": record["sys"][_TRACE]}}
        try:
            self._sqs._act_send_message(data, queue["url"])
        except self._sqs._Err as refusal:
            codes: Mapping[str, str] = self._sqs._QUERY_COMPAT_CODES
            raise MoveFailed(codes.get(refusal.code, refusal.code)) from None

    def delete(self, arn: str, messages: Sequence[Waiting]) -> None:
        queue = self._sqs._queue_by_arn(arn)
        if queue is not None and messages:
            gone = {id(message.record) for message in messages}
            queue["messages"] = [message for message in queue["messages"] if id(message) not in gone]


def dead_letter_arn_of(queue: Mapping[str, Any]) -> str | None:
    """The ARN that the queue's redrive policy names, if it has one that can be read."""
    try:
        policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
    except ValueError:
        return None
    found = policy.get("deadLetterTargetArn") if isinstance(policy, dict) else None
    return found if isinstance(found, str) else None


def _key_arn(key: str | None) -> str | None:
    """The ARN of a customer managed key; None for SQS's own, which everybody may use through SQS."""
    if not key or "alias/aws/" in key:
        return None
    record = ministack("ministack.services.kms")._resolve_key(key)
    return None if record is None else str(record["Arn"])
