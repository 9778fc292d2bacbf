"""Counts a queue of moto in one look at the clock.

moto asks for the time once or twice for each message of a queue, for each of its three counts, and counts all
three whenever it asks for any attribute: for each message that is received, to see whether its retention is
over. Thousands of messages in a queue took minutes.
"""

from __future__ import annotations

from typing import Any

from moto.core.utils import unix_time, unix_time_millis
from moto.sqs.models import Queue, SQSBackend

from local.stepfunctions.patching import replace


def install() -> None:
    """Put the counts in place; doing it again changes nothing. Raises PrivateNameMissingError."""
    replace(Queue, "messages", property(_messages))
    replace(Queue, "approximate_number_of_messages", property(lambda queue: len(_messages(queue))))
    replace(Queue, "approximate_number_of_messages_delayed", property(_delayed))
    replace(Queue, "approximate_number_of_messages_not_visible", property(_invisible))
    replace(SQSBackend, "is_message_valid_based_on_retention_period", _is_retained)


def _messages(queue: Any) -> list[Any]:
    now = unix_time_millis()
    return [one for one in queue._messages if one.visible_at < now and one.delayed_until <= now]


def _delayed(queue: Any) -> int:
    now = unix_time_millis()
    return sum(now < one.delayed_until for one in queue._messages)


def _invisible(queue: Any) -> int:
    now = unix_time_millis()
    return sum(now <= one.visible_at for one in queue._messages)


def _is_retained(self: Any, queue_name: str, message: Any) -> bool:
    retained: int = self.get_queue(queue_name).message_retention_period
    return bool(retained + message.sent_timestamp / 1000 > unix_time())
