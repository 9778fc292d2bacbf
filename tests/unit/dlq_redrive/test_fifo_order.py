"""Within a group of a FIFO queue, what was sent back keeps its order, whatever fails in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from common.errors import AwsCallFailed
from common.instants import format_instant
from dlq_redrive.arns import Home
from dlq_redrive.counted_redrive import CountedRedrive
from dlq_redrive.dead_letter import DeadLetterQueue
from dlq_redrive.errors import NotDeleted
from dlq_redrive.pace import Pace
from dlq_redrive.redrive_counts import Attempt, Redrives
from dlq_redrive.redrive_decision import Decider
from dlq_redrive.redrive_tally import Tally
from dlq_redrive.senders import Clients, Sender
from dlq_redrive.ways_back import Ways

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORK = "arn:aws:sqs:us-east-1:1:work.fifo"
QUEUE = DeadLetterQueue("https://q/1/dead.fifo", "arn:aws:sqs:us-east-1:1:dead.fifo", "sqs", (WORK,))


class FakeFifo:
    """A dead-letter queue and its source. What is in flight blocks its group. Calls fail as `fails` says."""

    def __init__(self, groups: list[str], fails: Iterator[bool]) -> None:
        self.waiting = [(str(number), group) for number, group in enumerate(groups)]
        self.in_flight: set[str] = set()
        self.sent: dict[str, tuple[str, str]] = {}
        self.fails = fails

    def receive_message(self, **_: Any) -> dict[str, Any]:
        blocked = {group for body, group in self.waiting if body in self.in_flight}
        given = [(body, group) for body, group in self.waiting if group not in blocked][:10]
        self.in_flight.update(body for body, _ in given)
        return {"Messages": [_message(body, group) for body, group in given]}

    def send_message(self, **request: Any) -> None:
        self._maybe_fail("SendMessage")
        message = (request["MessageBody"], request["MessageGroupId"])
        self.sent.setdefault(request["MessageDeduplicationId"], message)

    def delete_message(self, **request: Any) -> None:
        self._maybe_fail("DeleteMessage")
        self.waiting = [one for one in self.waiting if one[0] != request["ReceiptHandle"]]
        self.in_flight.discard(request["ReceiptHandle"])

    def change_message_visibility_batch(self, **request: Any) -> None:
        self.in_flight -= {entry["ReceiptHandle"] for entry in request["Entries"]}

    def _maybe_fail(self, operation: str) -> None:
        if next(self.fails, False):
            raise ClientError({"Error": {"Code": "InternalError"}}, operation)


class FakeCounts:
    """Counts in memory, without a limit."""

    def __init__(self) -> None:
        self.attempts: dict[str, list[Attempt]] = {}

    def read(self, identity: str) -> Redrives:
        return Redrives(tuple(self.attempts.get(identity, [])))

    def attempt(self, message_id: str, now: datetime) -> Attempt:
        return Attempt(format_instant(now), "one", message_id, "call")

    def count(self, identity: str, attempt: Attempt, **_: Any) -> int:
        self.attempts.setdefault(identity, []).append(attempt)
        return len(self.attempts[identity])


def _message(body: str, group: str) -> dict[str, Any]:
    sent = str(int((NOON - timedelta(hours=1)).timestamp() * 1000))
    attributes = {"SentTimestamp": sent, "MessageGroupId": group}
    return {"MessageId": body, "ReceiptHandle": body, "Body": body, "Attributes": attributes}


def redrive(sqs: Any, counts: Any) -> Tally:
    nothing: Any = None
    clients = Clients(sqs, nothing, nothing, nothing, nothing, nothing, nothing)
    ways = Ways(QUEUE, Home("aws", "us-east-1", "1"), "bus")
    return CountedRedrive(
        queue=QUEUE,
        sqs=sqs,
        counts=counts,
        quarantine=nothing,
        sender=Sender(clients, QUEUE),
        decider=Decider(ways, 1000, timedelta(days=10), "one"),
        pace=Pace(500, sleep=lambda _: None),
        clock=lambda: NOON,
        seconds_left=lambda: 100.0,
        tell=lambda **_: None,
        keep=lambda _: None,
    ).run()


@given(
    st.lists(st.sampled_from("abc"), max_size=40),
    st.lists(st.booleans(), max_size=30),
)
def test_each_group_arrives_once_and_in_its_order(groups: list[str], failures: list[bool]) -> None:
    queue, counts = FakeFifo(groups, iter(failures)), FakeCounts()
    while queue.waiting:
        try:
            redrive(queue, counts)
        except (AwsCallFailed, NotDeleted):
            continue  # as the state machine does
        assert queue.in_flight <= {body for body, _ in queue.waiting}

    arrived = list(queue.sent.values())
    assert len(arrived) == len(groups)
    for group in set(groups):
        numbers = [int(body) for body, its in arrived if its == group]
        assert numbers == [number for number, its in enumerate(groups) if its == group]


def test_a_failure_stops_its_group_and_no_other() -> None:
    queue = FakeFifo(["a", "a", "b"], iter([True]))
    tally = redrive(queue, FakeCounts())
    assert [body for body, _ in queue.sent.values()][:1] == ["2"]
    assert tally.failures == {"AwsCallFailed": 1}
