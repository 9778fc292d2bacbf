"""Dead letters of queues: see `local.soak.redrive.posts`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from local.soak.redrive.mail import Mail, id_in
from local.soak.redrive.posts import Post
from local.sqs import moto_queues
from local.testing.redrive_hub import Queue

_ORIGIN = "DeadLetterQueueSourceArn"


class QueuePost(Post):
    """Two queues that share a dead-letter queue, and a third that a person may choose instead of them."""

    works: list[Queue]

    def open(self) -> None:
        self._copies = count()
        self.works = [
            self.hub.queue(f"{self.name}-work-{number}{self.suffix}", dead_letters=self.dead)
            for number in range(2)
        ]
        self.spare = self.hub.queue(f"{self.name}-spare{self.suffix}")
        self.books.feeds.update({work.name: self.dead.name for work in (*self.works, self.spare)})

    def post(self, mail: Mail) -> None:
        """Send it. Its consumer fails on it when it works."""
        fifo: Any = {"MessageGroupId": mail.group, "MessageDeduplicationId": f"copy-{next(self._copies)}"}
        self.hub.sqs.send_message(
            QueueUrl=self.works[int(mail.group[-1]) % 2].url,
            MessageBody=mail.text,
            MessageAttributes=dict(mail.attributes),
            **(fifo if self.suffix else {}),
        )

    def kill(self, mail: Mail) -> None:
        """Send it, and let it die."""
        super().kill(mail)
        self.work()

    def work(self) -> None:
        with self._lock:
            for queue in (*self.works, self.spare):
                while messages := self._receive(queue):
                    for message in messages:
                        self._handle(queue, message)

    def waiting(self) -> Iterator[str]:
        for queue in (self.dead, *self.works, self.spare):
            yield from (id_in(body) for body in self.hub.bodies(queue))

    def _receive(self, queue: Queue) -> list[dict[str, Any]]:
        answer: Any = self.hub.sqs.receive_message(
            QueueUrl=queue.url,
            MaxNumberOfMessages=10,
            AttributeNames=["MessageGroupId"],
            MessageAttributeNames=["All"],
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def _handle(self, queue: Queue, message: dict[str, Any]) -> None:
        identity = id_in(message["Body"])
        group = message.get("Attributes", {}).get("MessageGroupId")
        self.books.compare(identity, message.get("MessageAttributes", {}), group)
        handle = {"QueueUrl": queue.url, "ReceiptHandle": message["ReceiptHandle"]}
        if queue is self.spare:  # what died here would be lost: it has no dead-letter queue
            self.books.process(identity)
        elif not self.consume(identity):
            self.hub.sqs.change_message_visibility(**handle, VisibilityTimeout=0)
            return
        self.hub.sqs.delete_message(**handle)


class OrphanPost(QueuePost):
    """A dead-letter queue that no queue names any more; its messages still say where they died."""

    def open(self) -> None:
        self.works = [self.hub.queue(f"{self.name}-work")]
        self.spare = self.hub.queue(f"{self.name}-spare")

    def post(self, mail: Mail) -> None:
        """Put it where it would be."""
        self.books.give(mail.id)
        with moto_queues._lock:
            self.hub.sqs.send_message(
                QueueUrl=self.dead.url, MessageBody=mail.text, MessageAttributes=dict(mail.attributes)
            )
            self.hub.messages(self.dead)[-1].system_attributes[_ORIGIN] = self.works[0].arn

    def consume(self, identity: str) -> bool:
        """Nothing can die here any more."""
        self.books.process(identity)
        return True
