"""Redrives a queue message by message: each is counted, sent back and deleted, in this order, or goes to
quarantine and is deleted, in this order. Whenever it stops, a message is in its queue, where it belongs or in
quarantine. Every send is counted before it is made, so that no message is sent more often than allowed,
whatever fails; one that may be in two places has used up one of its tries.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import HubError
from common.observability import logger, presentable
from dlq_redrive.aws_failures import is_unavailable, named_failure, nothing_was_sent
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue
from dlq_redrive.dead_letter_quarantine import DeadLetterQuarantine, QuarantinedLetter
from dlq_redrive.errors import NotDeleted, RedriveThrottled, TargetRefused
from dlq_redrive.message_identity import message_identity
from dlq_redrive.pace import Pace
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.queue_calls import receive, release
from dlq_redrive.redrive_counts import Attempt, RedriveCounts, Redrives
from dlq_redrive.redrive_decision import Decider, Left
from dlq_redrive.redrive_tally import Tally
from dlq_redrive.senders import Ready, Sender

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

VISIBILITY_SECONDS = 180
"""How long what was received stays hidden from others: less than the five minutes in which a FIFO queue drops
copies, so that what a killed call had sent and not deleted is sent again in time. What has returned stays
hidden too, so that the next calls do not meet it, until one moves nothing else."""

_BATCH_SECONDS = VISIBILITY_SECONDS / 2
"""No message of a batch is begun later than this, so that none is visible again while it is handled."""

MOST_MESSAGES = 1000
"""Messages that one call takes up at most."""


@dataclass
class CountedRedrive:
    """One call of the redrive of a queue. `seconds_left` says how long it may go on. `tell` is told at once
    how many messages were `redriven` or `quarantined`, and `keep` is given the tally after each batch: a call
    that is killed returns none. `bulk_at` is when SQS began a redrive of its own that counts as one."""

    queue: DeadLetterQueue
    sqs: SQSClient
    counts: RedriveCounts
    quarantine: DeadLetterQuarantine
    sender: Sender
    decider: Decider
    pace: Pace
    clock: Callable[[], datetime]
    seconds_left: Callable[[], float]
    tell: Callable[..., None]
    keep: Callable[[Tally], None]
    tally: Tally = field(default_factory=Tally)
    most_messages: int = MOST_MESSAGES
    bulk_at: datetime | None = None
    _let_go: list[DeadLetter] = field(default_factory=list, init=False)
    _returned: list[DeadLetter] = field(default_factory=list, init=False)
    _first_failure: HubError | None = field(default=None, init=False)
    _must_stop: bool = field(default=False, init=False)

    def run(self) -> Tally:
        """Take up messages until there are none or no more can be received, the time ends, or a service says
        «not now».

        Raises the first failure under its name when nothing at all could be moved; else failures are counts,
        so that what was moved before is told.
        """
        moved, taken_up = self.tally.moved, self.tally.received
        try:
            while self._may_go_on() and self.tally.received - taken_up < self.most_messages:
                letters = self._receive()
                self.tally.emptied = letters == [] and not self._let_go
                if not letters:
                    break
                self._handle_and_tell(letters)
        finally:
            if self.tally.emptied or self.tally.moved == moved:
                # No call comes after this one: the next redrive is to meet them, and the alarm to see them.
                self._let_go += self._returned
            release(self.sqs, self.queue, self._let_go)
        if self._first_failure is not None and self.tally.moved == moved:
            raise self._first_failure
        return self.tally

    def _may_go_on(self) -> bool:
        return not self._must_stop and self.seconds_left() > 0

    def _receive(self) -> list[DeadLetter] | None:
        """A batch of messages, None when none could be received."""
        try:
            return receive(self.sqs, self.queue, VISIBILITY_SECONDS, attempt=str(uuid.uuid4()))
        except Exception as error:  # also a message that breaks the code hides nothing that was moved before
            self._fail("nothing received", presentable(error))
            return None

    def _handle_and_tell(self, letters: list[DeadLetter]) -> None:
        redriven = self.tally.redriven
        try:
            self._handle(letters)
        finally:
            if self.tally.redriven > redriven:
                self.tell(redriven=self.tally.redriven - redriven)
        self.keep(self.tally)

    def _handle(self, letters: list[DeadLetter]) -> None:
        """Handle a batch in its order. A group stops at its first message that stays, since what follows it
        must not overtake it."""
        stopped: set[str] = set()
        ends = self.seconds_left() - _BATCH_SECONDS
        for letter in letters:
            in_order = letter.group_id if self.queue.fifo else None
            if in_order in stopped or not self._may_go_on() or self.seconds_left() < ends:
                self._let_go.append(letter)
                continue
            self.tally.received += 1
            if not self._settled(letter) and in_order is not None:
                stopped.add(in_order)

    def _settled(self, letter: DeadLetter) -> bool:
        """Whether the message has left the queue."""
        busy = False
        try:
            return self._redrive(letter)
        except HubError as error:
            failure = error
        except (ClientError, BotoCoreError) as error:
            failure, busy = named_failure(error), self.sender.may_be_at_work(error)
            self._must_stop = self._must_stop or is_unavailable(error)
        except Exception as error:  # a message that breaks the code must not keep the others from their way
            failure = presentable(error)
        self._fail("message left", failure, letter.message_id)
        if not busy:
            self._let_go.append(letter)
        return False

    def _fail(self, what: str, failure: HubError, message_id: str | None = None) -> None:
        name = type(failure).__name__
        logger().warning(what, message_id=message_id, error=name, reason=str(failure))
        self.tally.fail(name)
        self._first_failure = self._first_failure or failure
        self._must_stop = self._must_stop or isinstance(failure, RedriveThrottled)

    def _redrive(self, letter: DeadLetter) -> bool:
        identity = message_identity(self.queue.arn, self.queue.kind, letter)
        redrives = self.counts.read(identity)
        decision: Any = self.decider.decide(letter, redrives, self.clock())
        if decision is Left.RETURNED:
            self.tally.returned += 1
            self._returned.append(letter)
            return False
        if not isinstance(decision, Reason):
            decision = self._send(decision, letter, identity)
        if isinstance(decision, Reason):
            self._quarantine(letter, identity, redrives, decision)
        else:
            self._delete_sent(letter)
            self.tally.redriven += 1
        return True

    def _send(self, way: Any, letter: DeadLetter, identity: str) -> Reason | None:
        """Ask whatever there is to ask, count an attempt to send a message back, and make it; why the message
        goes to quarantine, if it does. What surely sent nothing does not count."""
        self.pace.wait()
        ready = self._prepare(way, letter, identity)
        if isinstance(ready, Reason):
            return ready
        attempt = self.counts.attempt(letter.message_id, self.clock())
        failed_at = letter.failed_at(self.queue.kind)
        number = self.counts.count(identity, attempt, most=self.decider.max_redrives, failed_at=failed_at)
        if number is None:
            return Reason.REDRIVEN_TOO_OFTEN
        try:
            ready(number)
        except Exception as error:
            if isinstance(error, TargetRefused):
                self._note(self.counts.refuse, identity, attempt)
            elif nothing_was_sent(error):
                self._note(self.counts.take_back, identity, attempt)
            raise
        return None

    def _prepare(self, way: Any, letter: DeadLetter, identity: str) -> Ready | Reason:
        """Nothing is sent by questions, so that no function can be at work after one that failed."""
        try:
            return self.sender.prepare(way, letter, identity)
        except (ClientError, BotoCoreError) as error:
            raise named_failure(error) from None

    def _note(self, write: Callable[[str, Attempt], None], identity: str, attempt: Attempt) -> None:
        """Write what came of an attempt. Where that fails it stays counted as one whose end nobody knows."""
        try:
            write(identity, attempt)
        except (ClientError, BotoCoreError) as error:
            presentable(error)

    def _quarantine(self, letter: DeadLetter, identity: str, redrives: Redrives, reason: Reason) -> None:
        """Write the object, tell of it, delete the message: told twice sooner than not at all."""
        now, bulk_at = self.clock(), self.bulk_at
        self.quarantine.put(
            QuarantinedLetter.of(self.queue, letter, identity, redrives, reason, now, bulk_at)
        )
        self.tell(quarantined=1)
        self._delete(letter)
        self.tally.quarantine(reason.value)

    def _delete(self, letter: DeadLetter) -> None:
        self.sqs.delete_message(QueueUrl=self.queue.url, ReceiptHandle=letter.receipt_handle)

    def _delete_sent(self, letter: DeadLetter) -> None:
        """What was sent and cannot be deleted is sent again by the next call: this one sends nothing more."""
        try:
            self._delete(letter)
        except (ClientError, BotoCoreError) as error:
            self._must_stop = True
            raise NotDeleted(str(named_failure(error))) from None
