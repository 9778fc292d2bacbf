"""One dead letter sent back out of quarantine, once however often that is asked.

In this order: its count of redrives is forgotten, the object is claimed by a conditional write, the message
is sent, the object says so, the object is deleted. Whoever returns a message has mended what killed it, so
that it may be sent back as often again, should it die once more; so may what is just like it, since they
share the count. Of two that ask at once one gets the claim.

A redrive that is killed before it has deleted what it put in quarantine leaves the message in both places,
and the next one puts it there again, although it may have been returned meanwhile. The versions that the
bucket keeps of the object say so.

A kill after the claim leaves an object that is claimed and not known to be sent. Asking again then

- starts the same execution under the same name, which Step Functions does once («StartExecution», AWS Step
  Functions API Reference: names stay taken for 90 days),
- sends to a FIFO queue under the same deduplication id, while SQS drops a copy («Using the message
  deduplication ID in Amazon SQS», Amazon SQS Developer Guide: five minutes),
- and is refused for everything else, such as a standard queue, since nothing tells whether it was sent: a
  person looks whether the consumer has it, and then sends it once more or discards it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import HubError
from common.instants import format_instant, parse_instant
from dlq_redrive.arns import is_fifo
from dlq_redrive.aws_failures import named_failure, nothing_was_sent
from dlq_redrive.dead_letter_quarantine import QuarantinedLetter
from dlq_redrive.message_identity import message_identity
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.senders import Ready, Sender
from dlq_redrive.ways_back import ToQueue, ToStateMachine, WayBack, Ways
from local.cli.errors import CommandError
from local.cli.project import command_line
from local.cli.redrive.quarantined import Found, Quarantined, no_such_letter

_DEDUPLICATED = timedelta(minutes=4)
"""A minute less than SQS drops copies for, since clocks differ."""


class Outcome(StrEnum):
    """What became of a dead letter that was to be returned."""

    RETURNED = "RETURNED"
    RETURNED_BEFORE = "RETURNED_BEFORE"


class CallRefused(CommandError):
    """A call was refused for sure; the next message of the queue would meet the same."""


@dataclass(frozen=True)
class Returned:
    """What became of a dead letter, and when it was sent, in UTC; whether its object is gone."""

    outcome: Outcome
    sent_at: str
    removed: bool = True


@dataclass(frozen=True)
class Route:
    """How the messages of one queue are sent back."""

    ways: Ways
    sender: Sender


@dataclass(frozen=True)
class Returner:
    """Sends dead letters back. `forget_count` forgets how often the message of a letter was redriven; `again`
    sends one, too, that a return before may have sent."""

    quarantined: Quarantined
    route: Callable[[QuarantinedLetter], Route]
    forget_count: Callable[[QuarantinedLetter], None]
    caller: str
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    again: bool = False

    def give_back(self, key: str) -> Returned:
        """Send a dead letter to where it belongs; raises CommandError when it was not sent, or when nobody
        can tell."""
        found = self.quarantined.find(key)
        if found is None:
            return self._returned_before(key)
        claim = found.letter.returned or self._earlier_claim(found.letter)
        if claim is not None and "sentAt" in claim:
            return Returned(Outcome.RETURNED_BEFORE, claim["sentAt"], self.quarantined.remove(found))
        route = self.route(found.letter)
        way = route.ways.back(found.letter.to_letter(), self.clock())
        if isinstance(way, Reason):
            raise _no_way_back(key, way)
        if claim is not None and not (self.again or self._is_sent_once(way, claim)):
            raise _may_be_sent(key, claim)
        self.forget_count(found.letter)
        claimed = self._claim(found, claim)
        self._send(route.sender, way, claimed, claim)
        return self._finish(claimed)

    def _returned_before(self, key: str) -> Returned:
        claims = [letter.returned for letter in self.quarantined.earlier(key)]
        if not claims:
            raise no_such_letter(key)
        for claim in claims:
            if claim is not None and "sentAt" in claim:
                return Returned(Outcome.RETURNED_BEFORE, claim["sentAt"])
        raise CommandError(f"The dead letter {key} was deleted and never returned.")

    def _earlier_claim(self, letter: QuarantinedLetter) -> Mapping[str, str] | None:
        """The claim of a return that sent the message when it was in quarantine before, or may have."""
        claims = [
            one.returned
            for one in self.quarantined.earlier(letter.key)
            if one.quarantined_at != letter.quarantined_at
        ]
        sent = (claim for claim in claims if claim is not None and "sentAt" in claim)
        return next(sent, claims[0] if claims else None)

    def _is_sent_once(self, way: WayBack, claim: Mapping[str, str]) -> bool:
        """Whether what is sent again now cannot arrive twice."""
        if isinstance(way, ToStateMachine):
            return True
        to_fifo = isinstance(way, ToQueue) and is_fifo(way.queue_arn)
        return to_fifo and self.clock() - parse_instant(claim["at"]) < _DEDUPLICATED

    def _claim(self, found: Found, before: Mapping[str, str] | None) -> Found:
        # a claim that is taken over keeps its time, from which SQS counts
        at = before["at"] if before is not None and not self.again else format_instant(self.clock())
        claim = {"at": at, "by": self.caller, "claim": self.new_id()}
        claimed = self.quarantined.replace(found, found.letter.claimed(claim))
        if claimed is None:
            raise CommandError(
                f"Somebody else returns, edits or discards {found.letter.key} now; it was not sent.",
                "Look again, then try again.",
            )
        return claimed

    def _send(self, sender: Sender, way: WayBack, claimed: Found, before: Mapping[str, str] | None) -> None:
        """Send the message, or put the claim back as it was before when nothing was sent for sure."""
        letter = claimed.letter
        ready: Ready | Reason | None = None
        try:
            ready = sender.prepare(way, letter.to_letter(), _sent_as(way, letter))
            if not isinstance(ready, Reason):
                ready(letter.redrives + 1)
                return
            failure: CommandError = _no_way_back(letter.key, ready)
        except (HubError, ClientError, BotoCoreError) as error:
            why = str(error if isinstance(error, HubError) else named_failure(error))
            if ready is not None and not nothing_was_sent(error):
                raise _may_be_sent(letter.key, letter.returned or {}, why) from None
            failure = CallRefused(f"{letter.key} was not sent. {why}", MEND)
        self.quarantined.replace(claimed, letter.claimed(before))
        raise failure

    def _finish(self, claimed: Found) -> Returned:
        """Have the object say that it was sent, and delete it; one that another return has taken over is
        for that one to end."""
        letter = claimed.letter
        sent_at = format_instant(self.clock())
        claim = {**(letter.returned or {}), "sentAt": sent_at}
        marked = self.quarantined.replace(claimed, letter.claimed(claim))
        removed = marked is not None and self.quarantined.remove(marked)
        return Returned(Outcome.RETURNED, sent_at, removed or self.quarantined.find(letter.key) is None)


MEND = "Mend what the error names, then return it again."


def _sent_as(way: WayBack, letter: QuarantinedLetter) -> str:
    """What makes two sends of it one: for an execution the message as it is now, which may have been edited;
    for a queue the message that died, since another one that is just like it is a message of its own."""
    if isinstance(way, ToStateMachine):
        return message_identity(letter.queue_arn, letter.kind, letter.to_letter())
    return hashlib.sha256(f"{letter.identity} {letter.message_id}".encode()).hexdigest()


def _may_be_sent(key: str, claim: Mapping[str, str], why: str = "") -> CommandError:
    begun = f"A return of {key} was begun at {claim.get('at')} by {claim.get('by')} and not seen to end"
    return CommandError(
        f"{begun}: the message may have been sent. {why}".rstrip(),
        "If the consumer has it, `redrive discard` it; if not, `redrive return --again` sends it once more.",
    )


def _no_way_back(key: str, reason: Reason) -> CommandError:
    what = f"{key} has no way back: {reason.value}."
    if reason in (Reason.SOURCE_UNKNOWN, Reason.SEVERAL_SOURCES, Reason.FUNCTION_UNKNOWN):
        return CommandError(what, "Say where to with --destination.")
    if reason is Reason.TARGET_NOT_BOUND:
        return CommandError(what, "Look where it would go; --unbound sends it there.")
    todo = (
        f"`{command_line()} redrive edit` can mend what it says, `{command_line()} redrive discard` ends it."
    )
    return CommandError(what, todo)
