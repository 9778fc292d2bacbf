"""`redrive list` and `redrive show`: what lies in quarantine, and on request what it says.

A body is PHI, and so may message attributes be. They leave the bucket only with `show` and `edit`, which say
so.
"""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from common.instants import parse_instant
from dlq_redrive.arns import name_of_queue
from dlq_redrive.dead_letter_quarantine import Listed, QuarantinedLetter
from local.cli.errors import CommandError
from local.cli.operations.hub import DeployedHub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.redrive.quarantined import Quarantined, open_quarantine, queue_arn, redrives_in_words

_WARNING = "This is PHI, in clear text, outside of the bucket that protects it."
_COLUMNS = ("queue", "kind", "reason", "redrives", "failed", "in quarantine", "bytes", "state", "key")
_UNREADABLE = "NO_DEAD_LETTER"
_HOUR = 3600
_DAY = 24 * _HOUR


def list_letters(hub: DeployedHub, output: Output, queue: str | None, limit: int) -> int:
    """List quarantined dead letters, the newest `limit` of them: never body or attributes."""
    quarantined = open_quarantine(hub)
    name = "" if queue is None else name_of_queue(queue_arn(hub, queue))
    objects = sorted(quarantined.list(name), key=lambda one: one.written_at, reverse=True)
    now = datetime.now(UTC)
    letters: list[dict[str, Any]] = []
    with output.step("Read quarantine") as step:
        for one in objects[:limit]:
            step.progress(f"{len(letters):,} of {len(objects):,}")
            letters.append(_facts(quarantined, one, now))
        step.result = counted(len(objects), "dead letter")
    if letters:
        show_table(output, _COLUMNS, [_row(one) for one in letters])
    else:
        where = f"Nothing of the queue {name}" if name else "No dead letter"
        output.line(f"{where} lies in quarantine.")
    left_out = max(len(objects) - limit, 0)
    if left_out:
        output.line(f"{left_out:,} older ones are left out; --limit shows more.")
    output.document({"hub": hub.document(), "letters": letters, "leftOut": left_out})
    return 0


def _facts(quarantined: Quarantined, one: Listed, now: datetime) -> dict[str, Any]:
    """What may be told of a letter, for programs; ages in seconds."""
    told: dict[str, Any] = {"key": one.key, "bytes": one.size, "reason": _UNREADABLE}
    try:
        found = quarantined.find(one.key)
    except CommandError:
        return told
    if found is None:
        return {**told, "reason": "GONE"}
    letter = found.letter
    return {
        **told,
        "queue": letter.queue_name,
        "kind": letter.kind,
        "messageId": letter.message_id,
        "reason": letter.reason,
        "redrives": letter.redrives,
        **({"bulkAt": letter.bulk_at} if letter.bulk_at is not None else {}),
        "firstFailedAt": letter.first_failed_at,
        "lastFailedAt": letter.last_failed_at,
        "quarantinedAt": letter.quarantined_at,
        "failedSeconds": _age(letter.first_failed_at, now),
        "quarantinedSeconds": _age(letter.quarantined_at, now),
        "edits": len(letter.edits),
        "state": _state(letter),
    }


def _state(letter: QuarantinedLetter) -> str:
    if letter.returned is not None:
        return "sent" if "sentAt" in letter.returned else "return begun"
    return "edited" if letter.edits else "waits"


def _row(facts: Mapping[str, Any]) -> list[object]:
    ages = [_in_words(facts.get(name)) for name in ("failedSeconds", "quarantinedSeconds")]
    counted = redrives_in_words(facts.get("redrives"), facts.get("bulkAt"))
    told = [*(facts.get(name) for name in ("queue", "kind", "reason")), counted]
    return [*told, *ages, facts["bytes"], facts.get("state"), facts["key"]]


def _age(instant: str, now: datetime) -> int | None:
    try:
        return max(int((now - parse_instant(instant)) / timedelta(seconds=1)), 0)
    except ValueError:
        return None


def _in_words(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    if seconds >= 2 * _DAY:
        return f"{seconds // _DAY} days"
    return f"{seconds // _HOUR} h" if seconds >= 2 * _HOUR else f"{seconds // 60} min"


def show(hub: DeployedHub, output: Output, key: str) -> int:
    """Print a dead letter whole, its body too: PHI, with a warning on stderr. Raises CommandError for a key
    outside of the quarantine and when there is no such dead letter."""
    letter = open_quarantine(hub, key).get(key).letter
    print(f"Warning: {_WARNING}", file=sys.stderr)
    document = json.loads(letter.to_json())
    # the rest is JSON, which escapes what could steer a terminal
    body = document.pop("body")
    output.line(json.dumps(document, indent=2, ensure_ascii=True))
    output.line("body", style="bold")
    output.line("".join(_harmless(character) for character in body))
    output.document({"hub": hub.document(), "key": key, "letter": {**document, "body": body}})
    return 0


def _harmless(character: str) -> str:
    """The character, or its escape where it could steer a terminal or hide what stands there."""
    if character.isprintable() or character in "\n\t":
        return character
    return character.encode("unicode_escape").decode()
