"""Lets one thread at a time change ministack's queues.

ministack's handlers run in its event loop, its pollers and deliveries in threads; they replace and append to
the same lists of messages. A message that is sent while another thread deletes one could be lost with the
list that it was appended to. The pollers hold a lock; here the handlers and the deliveries of other services
hold it as well.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from local.account.ministack_names import ministack
from local.sqs.ministack_queues import dead_letter_arn_of

_CHANGING = ("_act_send_message", "_expire_retained", "_collect_msgs")
_DELIVERING = {
    "ministack.services.eventbridge": "_dispatch_to_sqs",
    "ministack.services.s3": "_deliver_event_to_sqs",
    "ministack.services.sns": "_deliver_to_sqs",
}


def register() -> None:
    """Put the lock around everything that changes queues."""
    sqs = ministack("ministack.services.sqs")
    # what holds it calls what takes it
    lock = sqs._queues_lock = threading.RLock()
    sqs._dlq_sweep = _naming_dead_letters(sqs._dlq_sweep)
    for name in (*_CHANGING, "_dlq_sweep"):
        setattr(sqs, name, holding(lock, getattr(sqs, name)))
    for action, handler in list(sqs._HANDLERS.items()):
        if not iscoroutinefunction(handler):
            sqs._HANDLERS[action] = holding(lock, handler)
    for module_name, name in _DELIVERING.items():
        module = ministack(module_name)
        setattr(module, name, holding(lock, getattr(module, name)))


def holding(lock: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called with the lock held."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return function(*args, **kwargs)

    return call


def _naming_dead_letters(shipped: Callable[[Any], None]) -> Callable[[Any], None]:
    """ministack's move to the dead-letter queue, which leaves the deduplication id as it was.

    «The original message's deduplication ID will be replaced with the original message's ID», so that two
    messages that share one do not become one in the dead-letter queue.
    """

    def sweep(queue: Any) -> None:
        shipped(queue)
        arn = dead_letter_arn_of(queue) if queue["is_fifo"] else None
        found = ministack("ministack.services.sqs")._queue_by_arn(arn) if arn else None
        for message in reversed(found["messages"] if found else []):
            if message.get("dedup_id") == message["id"]:
                break
            if message["sys"].get("DeadLetterQueueSourceArn"):
                message["dedup_id"] = message["id"]

    return sweep
