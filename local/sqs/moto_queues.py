"""The queues of moto's SQS, as message-move tasks see them, and what moto lacks for that.

moto forgets which queue a dead message came from, takes two messages with one deduplication id for one in the
dead-letter queue as well, lets a FIFO queue's messages that are visible again die out of order, and counts
from when a message was sent the 12 hours for which it may stay hidden, so that an older one cannot be let go.
Its lists of messages are replaced and appended to by whichever thread calls.

AWS documentation: SQS API Reference, «ReceiveMessage» (DeadLetterQueueSourceArn), «ChangeMessageVisibility»
(the 12 hours begin when the message is received); Developer Guide, «Learn how to configure a dead-letter
queue redrive in Amazon SQS».
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from moto.sqs.exceptions import ReceiptHandleIsInvalid, SQSException
from moto.sqs.models import Queue, SQSBackend, sqs_backends
from moto.sqs.responses import SQSResponse

from local.sqs import moto_counts
from local.sqs.move_tasks import NO_QUEUE, MoveFailed, MoveRefused, QueueFacts
from local.sqs.moving import MoveTasks, Waiting
from local.stepfunctions.patching import original, replace

Answer = tuple[int, dict[str, str], bytes]

_ORIGIN = "DeadLetterQueueSourceArn"
_POLL_SECONDS = 0.01
_QUERY_CODES = {"UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation"}
_lock = threading.RLock()


class MotoQueues:
    """Implements `Queues` on moto's queues."""

    def held(self) -> AbstractContextManager[Any]:
        """The lock around whatever changes moto's queues."""
        return _lock

    def facts(self, arn: str) -> QueueFacts | None:
        queue = _queue(arn)
        if queue is None:
            return None
        sources = sqs_backends[queue.account_id][queue.region].list_dead_letter_source_queues(queue.name)
        return QueueFacts(arn, bool(queue.fifo_queue), tuple(source.queue_arn for source in sources))

    def waiting(self, arn: str, limit: int | None = None) -> list[Waiting]:
        queue = _queue(arn)
        found, blocked = list[Waiting](), set[str]()
        for message in queue._messages if queue is not None else ():
            if limit is not None and len(found) >= limit:
                break
            group = message.group_id if queue is not None and queue.fifo_queue else None
            if not message.visible or message.delayed:
                blocked.update({group} if group else ())
            elif group not in blocked:
                found.append(Waiting(message.system_attributes.get(_ORIGIN), message))
        return found

    def put(self, arn: str, message: Waiting) -> None:
        record, queue = message.record, _queue(arn)
        if queue is None:
            raise MoveFailed(NO_QUEUE)
        given = {name: value for name, value in record.system_attributes.items() if name != _ORIGIN}
        try:
            sqs_backends[queue.account_id][queue.region].send_message(
                queue.name,
                record.body,
                message_attributes=record.message_attributes,
                deduplication_id=record.id if queue.fifo_queue else None,
                group_id=record.group_id,
                system_attributes=given,
            )
        except SQSException as refusal:
            raise MoveFailed(str(refusal.code)) from None

    def delete(self, arn: str, messages: Sequence[Waiting]) -> None:
        queue = _queue(arn)
        if queue is not None and messages:
            gone = {id(message.record) for message in messages}
            queue._messages = [message for message in queue._messages if id(message) not in gone]
            queue._pending_messages = {one for one in queue._pending_messages if id(one) not in gone}


def answering(tasks: MoveTasks) -> Mapping[str, Callable[[Mapping[str, Any]], Answer]]:
    """What answers each action, in SQS's JSON protocol."""
    actions = {
        "StartMessageMoveTask": tasks.start,
        "ListMessageMoveTasks": tasks.list,
        "CancelMessageMoveTask": tasks.cancel,
    }
    return {name: functools.partial(_answer, act) for name, act in actions.items()}


def install() -> None:
    """Let dead messages know where they came from, and one thread at a time change queues; doing it again
    changes nothing. Raises PrivateNameMissingError when moto lacks a name that is replaced."""
    moto_counts.install()
    replace(Queue, "add_message", _holding(_add_message))
    replace(SQSBackend, "receive_message", _receive)
    replace(SQSResponse, "receive_message", _showing_origins)
    for owner, name in (
        (Queue, "delete_message"),
        (SQSBackend, "purge_queue"),
    ):
        replace(owner, name, _holding(original(owner, name)))
    replace(SQSBackend, "change_message_visibility", _holding(_change_visibility))


def _answer(act: Callable[[Mapping[str, Any]], dict[str, Any]], request: Mapping[str, Any]) -> Answer:
    headers = {"Content-Type": "application/x-amz-json-1.0"}
    try:
        return 200, headers, json.dumps(act(request)).encode()
    except MoveRefused as refusal:
        headers["x-amzn-query-error"] = f"{_QUERY_CODES.get(refusal.code, refusal.code)};Sender"
        body = {"__type": f"com.amazonaws.sqs#{refusal.code}", "message": refusal.message}
        return refusal.status, headers, json.dumps(body).encode()


def _queue(arn: str) -> Queue | None:
    region, account, name = arn.split(":")[3:6]
    return sqs_backends[account][region].queues.get(name)


def _holding(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _lock:
            return function(*args, **kwargs)

    return call


def _add_message(self: Any, message: Any) -> None:
    """Keep a message; one that another queue has kept before is a dead letter of that queue."""
    kept_by = getattr(message, "kept_by", self.queue_arn)
    if kept_by != self.queue_arn:
        message.system_attributes[_ORIGIN] = kept_by
        if self.fifo_queue:
            message.deduplication_id = message.id
    message.kept_by = self.queue_arn
    original(Queue, "add_message")(self, message)


def _receive(
    self: Any, queue_name: str, count: int, wait_seconds_timeout: int, *rest: Any, **more: Any
) -> Any:
    """moto's receive, which holds the lock while it looks and not while it waits.

    moto takes a group for blocked by its messages that are visible again, until it has come upon each of
    them: the last one of a group overtook the others.
    """
    ends_at = time.monotonic() + wait_seconds_timeout
    while True:
        with _lock:
            queue = self.get_queue(queue_name)
            queue._pending_messages = {one for one in queue._pending_messages if not one.visible}
            found = original(SQSBackend, "receive_message")(self, queue_name, count, 0, *rest, **more)
        if found or time.monotonic() >= ends_at:
            return found
        time.sleep(_POLL_SECONDS)


def _change_visibility(self: Any, queue_name: str, receipt_handle: str, visibility_timeout: int) -> None:
    queue = self.get_queue(queue_name)
    for message in queue._messages:
        if message.had_receipt_handle(receipt_handle):
            message.change_visibility(visibility_timeout)
            if message.visible:
                queue._pending_messages.discard(message)
            return
    raise ReceiptHandleIsInvalid


def _showing_origins(self: Any) -> Any:
    """moto's answer to ReceiveMessage, with where dead messages came from if that is asked for."""
    answer = original(SQSResponse, "receive_message")(self)
    asked = {*self._get_param("AttributeNames", []), *self._get_param("MessageSystemAttributeNames", [])}
    if asked & {"All", _ORIGIN}:
        kept = self.sqs_backend.get_queue(self._get_queue_name())._messages
        origins = {message.id: message.system_attributes.get(_ORIGIN) for message in list(kept)}
        for shown in answer.result.get("Messages", []):
            if origins.get(shown["MessageId"]):
                shown.setdefault("Attributes", {})[_ORIGIN] = origins[shown["MessageId"]]
    return answer
