"""What is to be done with one dead-letter queue, as the state machine carries it from state to state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlq_redrive.dead_letter import DeadLetterQueue


@dataclass(frozen=True)
class QueuePlan:
    """A queue, the mode in which it is redriven, and the limits. `waiting` counts messages approximately, as
    SQS does, hidden ones too; `oldest_seconds` is the age of the oldest one that was looked at.
    `max_redrives` is what was asked for: what a redrive by SQS takes off it is for whoever counts to see,
    when it counts."""

    queue: DeadLetterQueue
    mode: str
    max_redrives: int
    messages_per_second: int
    destination_arn: str | None = None
    waiting: int = 0
    oldest_seconds: int | None = None

    def to_state(self) -> dict[str, Any]:
        """The plan as JSON. `destinationArn` is there only where one was asked for."""
        state: dict[str, Any] = {
            "queueUrl": self.queue.url,
            "queueArn": self.queue.arn,
            "name": self.queue.name,
            "kind": self.queue.kind,
            "mode": self.mode,
            "fifo": self.queue.fifo,
            "sources": list(self.queue.sources),
            "waiting": self.waiting,
            "oldestSeconds": self.oldest_seconds,
            "maxMessagesPerSecond": self.messages_per_second,
            "maxRedrives": self.max_redrives,
        }
        if self.destination_arn is not None:
            state["destinationArn"] = self.destination_arn
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> QueuePlan:
        """The plan in what `to_state` returned."""
        queue = DeadLetterQueue(state["queueUrl"], state["queueArn"], state["kind"], tuple(state["sources"]))
        return cls(
            queue=queue,
            mode=state["mode"],
            max_redrives=state["maxRedrives"],
            messages_per_second=state["maxMessagesPerSecond"],
            destination_arn=state.get("destinationArn"),
            waiting=state["waiting"],
            oldest_seconds=state["oldestSeconds"],
        )
