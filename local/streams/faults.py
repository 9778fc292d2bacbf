"""Deliveries that come shuffled and more than once, when asked for: what AWS allows itself at every hop.

Pipes and rules may deliver in any order and again; a stream's reader is given the records of an item in their
order, and a batch perhaps again. AWS documentation: «Amazon EventBridge event delivery», «Using AWS Lambda
with Amazon DynamoDB» («processes each event at least once»).
"""

from __future__ import annotations

import contextvars
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

FLUSH_SECONDS = 0.05
"""How long deliveries of rules are gathered to be shuffled."""

T = TypeVar("T")
Send = Callable[[], None]


class FaultsRefused(ValueError):
    """What is asked for is no fault that there is."""


@dataclass(frozen=True)
class FaultSettings:
    """`shuffle` is the seed of the order, None for none; `repeat` and `late` are probabilities.

    What is late is a repeat that is held until it is released, or for `late_seconds`.
    """

    shuffle: int | None = None
    repeat: float = 0.0
    late: float = 0.0
    late_seconds: float | None = None

    @classmethod
    def read(cls, asked: Mapping[str, Any]) -> FaultSettings:
        """The settings of a request; raises FaultsRefused."""
        names = {"shuffle": "shuffle", "repeat": "repeat", "late": "late", "lateSeconds": "late_seconds"}
        unknown = set(asked) - set(names)
        given = {names[name]: value for name, value in asked.items() if name in names}
        numbers = all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            for value in given.values()
        )
        probable = all(0 <= (given.get(name) or 0) <= 1 for name in ("repeat", "late")) if numbers else False
        if unknown or not probable:
            raise FaultsRefused("shuffle is a seed or null, repeat and late are probabilities.")
        return cls(
            given.get("shuffle"),
            given.get("repeat") or 0.0,
            given.get("late") or 0.0,
            given.get("late_seconds"),
        )


class DeliveryFaults:
    """The account's faults; none until they are asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(0)  # noqa: S311 - decides on faults, on nothing secret
        self._gathered: list[Send] = []
        self._held: list[Send] = []
        self.settings = FaultSettings()

    def ask(self, settings: FaultSettings) -> None:
        """Deliver like this from now on."""
        with self._lock:
            self.settings = settings
            self._random = random.Random(settings.shuffle or 0)  # noqa: S311

    def reset(self) -> None:
        """Deliver without faults, and forget what is held."""
        with self._lock:
            self.settings = FaultSettings()
            self._held.clear()
            self._gathered.clear()

    def held(self) -> int:
        """How many deliveries are held."""
        with self._lock:
            return len(self._held)

    def release(self) -> int:
        """Deliver what is held; returns how many deliveries these were."""
        with self._lock:
            released, self._held = self._held, []
        for send in released:
            send()
        return len(released)

    def order(self, elements: Sequence[T]) -> list[int]:
        """The places of the elements in the order of their delivery."""
        places = list(range(len(elements)))
        with self._lock:
            if self.settings.shuffle is not None:
                self._random.shuffle(places)
        return places

    def chosen(self, elements: Sequence[T]) -> tuple[list[T], list[T]]:
        """The elements to deliver once more: at once, and late."""
        now, late = [], []
        for element in elements:
            again, later = self._draw()
            if again:
                now.append(element)
            if later:
                late.append(element)
        return now, late

    def repeats_a_batch(self) -> bool:
        """Whether a reader is given a batch again."""
        return self._draw()[0]

    def hold(self, send: Send) -> None:
        """Keep a delivery until it is released."""
        bound = _in_this_context(send)
        with self._lock:
            self._held.append(bound)
            seconds = self.settings.late_seconds
        if seconds is not None:
            _after(seconds, lambda: self._release_one(bound))

    def deliver(self, send: Send) -> None:
        """Make one delivery of a rule: in any order with others of the moment, again, and again late."""
        if self.settings == FaultSettings():
            send()
            return
        again, late = self._draw()
        for _ in range(2 if again else 1):
            self._gather(send)
        if late:
            self.hold(send)

    def _draw(self) -> tuple[bool, bool]:
        with self._lock:
            if not self.settings.repeat and not self.settings.late:
                return False, False
            return (
                self._random.random() < self.settings.repeat,
                self._random.random() < self.settings.late,
            )

    def _gather(self, send: Send) -> None:
        if self.settings.shuffle is None:
            send()
            return
        with self._lock:
            self._gathered.append(_in_this_context(send))
            first = len(self._gathered) == 1
        if first:
            _after(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        with self._lock:
            gathered, self._gathered = self._gathered, []
            self._random.shuffle(gathered)
        for send in gathered:
            send()

    def _release_one(self, send: Send) -> None:
        with self._lock:
            if send not in self._held:
                return
            self._held.remove(send)
        send()


FAULTS = DeliveryFaults()
"""Of this account: there is one in a process."""


def _in_this_context(send: Send) -> Send:
    """The delivery for the account and region that are in this context, from any thread."""
    context = contextvars.copy_context()
    return lambda: context.run(send)


def _after(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
