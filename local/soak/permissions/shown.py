"""What one looks at when a permission was missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HELD, ARRIVED, LOST = "HELD", "ARRIVED", "LOST"
"""What was on its way has arrived once the permission was back and not before; in spite of all; or never."""


@dataclass(frozen=True)
class Answer:
    """What a function that was invoked by hand has answered."""

    failed: bool
    text: str


def _nothing() -> None:
    """What is waiting needs nothing to go on."""


@dataclass(frozen=True)
class Journey:
    """Something that was sent on its way and does not arrive while the permission is missing.

    `arrived` drives it on, as far as that is to be done by hand, and says whether it is where it leads to: at
    its end, or whole where what fails is kept. `told` is what its sender was answered, if that was a refusal.
    `again` is done once the permission is back, for what does not wait: it is sent again, or brought back.
    """

    arrived: Callable[[], object]
    told: str = ""
    again: Callable[[], object] = _nothing


Shown = str | Answer | Journey
"""The ARN of an execution, the answer of a function, or something on its way."""
