"""What must hold when the dust has settled: nothing lost, sent back for ever, told or held."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.soak.redrive.books import BULK, COUNTED, plain_attributes
from local.soak.redrive.mail import Mail, id_in
from local.testing.marked_records import MARKS


@dataclass(frozen=True)
class Findings:
    """What is known after an episode. Counts are by id; `most` is how often a message may be sent back, over
    all runs; `letters` are the objects in quarantine; `told` is what may say nothing of messages, by place;
    `owners` are those of locks that are held, by queue."""

    mails: Mapping[str, Mail]
    processed: Counter[str]
    waiting: Counter[str]
    deliveries: Mapping[str, Counter[str]]
    letters: Sequence[Mapping[str, Any]]
    most: int
    told: Sequence[tuple[str, str]] = ()
    owners: Mapping[str, str] = field(default_factory=dict)

    @property
    def quarantined(self) -> Counter[str]:
        """How many objects in quarantine each message has."""
        return Counter(id_in(letter["body"]) for letter in self.letters)


def problems(found: Findings) -> list[str]:
    """Everything that does not hold, one line each."""
    rules = (_lost, _invented, _sent_too_often, _damaged, _told, _held)
    return [problem for rule in rules for problem in rule(found)]


def _lost(found: Findings) -> Iterator[str]:
    quarantined = found.quarantined
    for identity, mail in found.mails.items():
        places = (found.processed[identity], quarantined[identity], found.waiting[identity])
        if sum(places) < mail.copies:
            yield (
                f"of {mail.copies} {identity} ({mail.temper}) {places[0]} were processed, {places[1]} are in "
                f"quarantine, {places[2]} wait, and {mail.copies - sum(places)} are lost"
            )


def _invented(found: Findings) -> Iterator[str]:
    for identity in sorted({*found.processed, *found.quarantined, *found.waiting} - found.mails.keys()):
        yield f"{identity} was never sent"


def _sent_too_often(found: Findings) -> Iterator[str]:
    """SQS moves every copy of a message at once; the copies share the count of all that is counted."""
    for identity, mail in found.mails.items():
        told = found.deliveries.get(identity, Counter())
        each = -(-told[BULK] // mail.copies) + told[COUNTED]
        if each > found.most:
            times = ", ".join(f"{times} times {how}" for how, times in sorted(told.items()))
            yield f"{identity} ({mail.copies} of them) may come back {found.most} times, and was {times}"


def _damaged(found: Findings) -> Iterator[str]:
    for letter in found.letters:
        mail = found.mails.get(id_in(letter["body"]))
        if mail is None:
            continue
        if letter["kind"] == "sqs" and letter["body"] != mail.text:
            yield f"{mail.id} lies in quarantine with another body than it was sent with"
        if letter["kind"] == "sqs" and _attributes(letter) != plain_attributes(mail.attributes):
            yield f"{mail.id} lies in quarantine with other attributes than it was sent with"
        if letter["queueArn"].endswith(".fifo") and letter["attributes"].get("MessageGroupId") != mail.group:
            yield f"{mail.id} lies in quarantine without its group"
        if letter["kind"] not in ("sqs", "stream") and mail.text not in letter["body"]:
            yield f"{mail.id} lies in quarantine without what it says"


def _attributes(letter: Mapping[str, Any]) -> Any:
    read = {
        name: {**value, "BinaryValue": base64.b64decode(value["BinaryValue"])}
        if "BinaryValue" in value
        else value
        for name, value in letter["messageAttributes"].items()
    }
    return plain_attributes(read)


def _told(found: Findings) -> Iterator[str]:
    """The first of each place."""
    seen: set[str] = set()
    for place, content in found.told:
        if place not in seen and (mark := MARKS.search(content)):
            seen.add(place)
            yield f"{place} tells of a message: {content[max(0, mark.start() - 60) : mark.end() + 60]}"


def _held(found: Findings) -> Iterator[str]:
    for queue, owner in found.owners.items():
        yield f"the lock of {queue} is held by {owner}, which has ended"
