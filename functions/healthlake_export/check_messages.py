"""The chain of checks: one message at a time in the check queue, each of which sends the next."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from healthlake_export.job_status import next_delay

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Check:
    """One link of the chain: number `sequence` of the checks of an attempt, sent `delay` seconds ago."""

    execution_arn: str
    attempt: str
    sequence: int
    delay: int

    @classmethod
    def from_message(cls, body: dict[str, Any]) -> Check:
        """The check in a message's body."""
        check = body["check"]
        return cls(check["executionArn"], check["attempt"], check["sequence"], check["delay"])

    def to_body(self) -> dict[str, Any]:
        """The body that carries the check."""
        return {
            "check": {
                "executionArn": self.execution_arn,
                "attempt": self.attempt,
                "sequence": self.sequence,
                "delay": self.delay,
            }
        }

    def following(self, *, first: int, longest: int) -> Check:
        """The next link, later than this one."""
        delay = next_delay(self.delay, first=first, longest=longest)
        return replace(self, sequence=self.sequence + 1, delay=delay)


def _random_id() -> str:
    return str(uuid.uuid4())


class CheckQueue:
    """Sends links of the chain to the check queue.

    Every message carries an id of its own, by which it claims its number: SQS gives a message that is sent
    back from the dead-letter queue a new one.
    """

    def __init__(self, client: SQSClient, url: str, new_id: Callable[[], str] = _random_id) -> None:
        self._client = client
        self._url = url
        self._new_id = new_id

    def send(self, check: Check) -> None:
        """Send `check`, to be delivered after its delay."""
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=json.dumps({**check.to_body(), "id": self._new_id()}),
            DelaySeconds=check.delay,
        )
