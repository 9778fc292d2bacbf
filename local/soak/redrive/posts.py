"""Dead-letter queues of each kind with what their messages are bound for: where they die, and come back to.

A post kills what it is given, lets its consumers work, and says what waits. Kinds differ in who consumes:

| kind     | consumer                                  | when it fails                                       |
|----------|-------------------------------------------|-----------------------------------------------------|
| sqs      | receives from a queue                     | the queue lets the message die                      |
| async    | a function that is invoked asynchronously | Lambda sends a record of the failed invocation      |
| stream   | a function that is given records          | at once: the redrive is told, the message stays     |
| rule     | a function, the target of a rule          | never: what reached it does not come back           |
| bus      | whoever has a rule on the bus             | never                                               |
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from local.soak.redrive.books import Books
from local.soak.redrive.clock import Clock
from local.soak.redrive.mail import Mail, id_in
from local.testing.redrive_hub import Queue, RedriveHub

Takes = Callable[[str, int], bool]
"""Whether a consumer takes the message of that id, which it is given for the n-th time."""

_RETENTION: Any = {"MessageRetentionPeriod": str(14 * 86_400)}


@dataclass
class Post:
    """A dead-letter queue and the other end of its way back."""

    hub: RedriveHub
    books: Books
    clock: Clock
    takes: Takes
    name: str
    kind: str = "sqs"
    suffix: str = ""
    dead: Queue = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self.dead = self.hub.queue(f"{self.name}-dead{self.suffix}", kind=self.kind)
        self.hub.sqs.set_queue_attributes(QueueUrl=self.dead.url, Attributes=_RETENTION)
        self.open()

    def open(self) -> None:
        """Make what messages are bound for."""

    def kill(self, mail: Mail) -> None:
        """Let every copy of a message die."""
        self.books.write(mail)
        for _ in range(mail.copies):
            self.post(mail)

    def post(self, mail: Mail) -> None:
        """Let one copy of a message die."""
        raise NotImplementedError

    def work(self) -> None:
        """Let the consumers work until nothing waits for them."""

    def waiting(self) -> Iterator[str]:
        """The ids of the messages that wait, in the dead-letter queue or for a consumer."""
        yield from (id_in(body) for body in self.hub.bodies(self.dead))

    def consume(self, identity: str) -> bool:
        """Give a message to its consumer; whether it was processed."""
        if not self.takes(identity, self.books.give(identity)):
            return False
        self.books.process(identity)
        return True
