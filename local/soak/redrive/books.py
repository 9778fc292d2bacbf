"""What is written down of messages while runs go on: what was sent, given back, and processed."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.sqs.models import SQSBackend

from dlq_redrive.dead_letter import REDRIVE_ATTRIBUTE
from local.soak.redrive.calls import by_a_function
from local.soak.redrive.clock import Clock
from local.soak.redrive.mail import Mail, id_in
from local.sqs import moto_queues

BULK, COUNTED, FOREIGN = "moved by SQS", "sent by the function", "moved for somebody else"
_DEDUPLICATED_SECONDS = 300

Attributes = dict[str, tuple[str, Any]]


def plain_attributes(attributes: Mapping[str, Any]) -> Attributes:
    """Message attributes by what they say, without the mark of a redrive."""
    return {
        name: (value["DataType"], value.get("StringValue") or value.get("BinaryValue"))
        for name, value in attributes.items()
        if name != REDRIVE_ATTRIBUTE
    }


class Books:
    """Everything that is known of the messages of an episode. `deliveries` say how often each was given back,
    by whom; `problems` what was seen to be wrong at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._sent_back: set[str] = set()
        self._taken: dict[tuple[str, str], float] = {}
        self.mails: dict[str, Mail] = {}
        self.processed: Counter[str] = Counter()
        self.given: Counter[str] = Counter()
        self.deliveries: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.foreign_tasks: set[str] = set()
        self.feeds: dict[str, str] = {}
        """The dead-letter queues by the names of the queues that they are redriven to."""
        self.problems: list[str] = []

    def write(self, mail: Mail) -> None:
        """A message that is sent."""
        with self._lock:
            self.mails[mail.id] = mail

    def give(self, identity: str) -> int:
        """A consumer is given a message; for how many times now."""
        with self._lock:
            self.given[identity] += 1
            return self.given[identity]

    def process(self, identity: str) -> None:
        """A consumer has processed a message."""
        with self._lock:
            self.processed[identity] += 1

    def deliver(self, identity: str, how: str) -> None:
        """A message was given back."""
        with self._lock:
            self.deliveries[identity][how] += 1

    def complain(self, problem: str) -> None:
        """Something is wrong."""
        with self._lock:
            self.problems.append(problem)

    def compare(self, identity: str, attributes: Mapping[str, Any], group: str | None) -> None:
        """Complain of a message that has come back as another one than was sent."""
        mail = self.mails.get(identity)
        if mail is None:
            self.complain(f"{identity} came back, and was never sent")
        elif plain_attributes(attributes) != plain_attributes(mail.attributes):
            self.complain(f"{identity} came back with other attributes than it was sent with")
        elif group is not None and group != mail.group:
            self.complain(f"{identity} of {mail.group} came back in {group}")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write down whatever is sent to queues, and let FIFO queues drop copies for five minutes, also of
        what was deleted meanwhile («Exactly-once processing in Amazon SQS», Amazon SQS Developer Guide)."""
        send = SQSBackend.send_message

        def sending(backend: Any, queue_name: str, *args: Any, **more: Any) -> Any:
            with moto_queues._lock:
                return self._sent(backend, queue_name, lambda: send(backend, queue_name, *args, **more))

        with patch.object(SQSBackend, "send_message", sending):
            yield

    def _sent(self, backend: Any, queue_name: str, send: Callable[[], Any]) -> Any:
        queue = backend.get_queue(queue_name)
        message = send()
        if not any(one is message for one in queue._messages):
            return message
        identity, now = id_in(message.body), self._clock.time()
        if queue.fifo_queue:
            taken = self._taken.setdefault((queue_name, message.deduplication_id), now)
            if taken != now and now - taken < _DEDUPLICATED_SECONDS:
                queue._messages = [one for one in queue._messages if one is not message]
                return message
            self._taken[queue_name, message.deduplication_id] = now
        if how := self._by_whom():
            self.deliver(identity, how)
            if queue.fifo_queue and queue_name in self.feeds:
                dead = backend.get_queue(self.feeds[queue_name])
                self._keep_order(dead._messages, message.group_id, identity)
        return message

    def _by_whom(self) -> str | None:
        name = threading.current_thread().name
        if name.startswith("move-"):
            return FOREIGN if name.removeprefix("move-") in self.foreign_tasks else BULK
        return COUNTED if by_a_function() else None

    def _keep_order(self, dead: list[Any], group: str, identity: str) -> None:
        """Complain when a message is sent back before one that waits in front of it in its group. It may be
        the first that is like it: one that was sent and could not be deleted is sent again. As sent counts
        the first that was not sent yet."""
        waiting = [message for message in dead if message.group_id == group]
        alike = [message for message in waiting if id_in(message.body) == identity]
        if not alike:
            return
        for message in waiting[: waiting.index(alike[0])]:
            if message.id not in self._sent_back:
                self.complain(f"{identity} has overtaken {id_in(message.body)} in {group}")
        self._sent_back.update([one.id for one in alike if one.id not in self._sent_back][:1])
