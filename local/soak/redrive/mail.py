"""The messages of an episode, and what their consumers do with them: drawn from a seed, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from local.testing.marked_records import mark

SOUND, MOODY, BROKEN, POISON = "sound", "moody", "broken", "poison"
_TEMPERS = (*[SOUND] * 4, *[MOODY] * 2, BROKEN, POISON)

TEXT = {"DataType": "String", "StringValue": mark("attribute")}
_FEW: Mapping[str, Any] = {"note": TEXT}
_MANY: Mapping[str, Any] = {f"note-{number}": TEXT for number in range(10)}
"""As many as SQS takes: there is no room for the mark of a redrive."""
_BINARY: Mapping[str, Any] = {
    "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    "count": {"DataType": "Number", "StringValue": "7"},
}
_ATTRIBUTES: tuple[Mapping[str, Any], ...] = ({}, {}, _FEW, _BINARY, _MANY)

_ID = re.compile(r"\b(?:one|alike)-\d+\b")


@dataclass(frozen=True)
class Mail:
    """A message. `copies` are sent of it, alike in all that a count of redrives knows them by; `temper` says
    what becomes of it: processed sooner or later, once its consumer is mended, or never."""

    id: str
    temper: str
    copies: int = 1
    group: str = "group-0"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What it says: who it is, and what must stand nowhere but in messages."""
        return f"{self.id} {mark('body')}"


def id_in(text: str) -> str:
    """Which message a text is, or is about."""
    found = _ID.search(text)
    return found[0] if found else f"unknown text of {len(text)} characters"


class Writer:
    """Draws messages, each with an id of its own."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._number = 0

    def draw(self, most: int) -> Iterator[Mail]:
        """A few messages, `most` at most; some are sent several times."""
        for _ in range(self._random.randint(1, most)):
            self._number += 1
            copies = self._random.randint(2, 4) if self._random.random() < 0.1 else 1
            yield Mail(
                id=f"{'one' if copies == 1 else 'alike'}-{self._number}",
                temper=self._random.choice(_TEMPERS),
                copies=copies,
                group=f"group-{self._random.randrange(3)}",
                attributes=self._random.choice(_ATTRIBUTES),
            )


def takes(seed: str, mail: Mail, times: int, *, mended: bool) -> bool:
    """Whether a consumer takes a message that it is given for the `times`-th time. All die once."""
    if mail.temper == POISON or times <= 1:
        return False
    if mail.temper == BROKEN:
        return mended
    if mail.temper == MOODY and not mended:
        return Random(f"{seed}/{mail.id}/{times}").random() < 0.5  # noqa: S311
    return True
