"""Functions that die on request: before they have done anything, after all of it, or in the midst.

POST /_local/lambda/deaths {"chance": 0.1, "seed": "7", "functions": ["WriteFhir"], "midst": 0.2} lets a part
of the invocations of functions with one of these words in their name die (of all functions, if none is
named), a part of those in the midst: their process is killed, and the next finds a cold environment. With
"poison": "text" every invocation dies before it has begun whose event has the text, and a part of the others.
GET tells how many have died of each function, DELETE lets them live.
"""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from local.account.joined_service import Answer, join_service, json_answer
from local.lambda_runtime.error_payloads import exited

PATH = "/_local/lambda/deaths"
BEFORE, AFTER, MIDST = "before", "after", "midst"
LATEST_SECONDS = 0.3
"""How far into an invocation a process is killed at the latest."""


@dataclass(frozen=True)
class Order:
    """Which invocations die."""

    chance: float = 0.0
    seed: str = ""
    functions: Sequence[str] = ()
    midst: float = 0.0
    poison: str = ""

    def names(self, function: str) -> bool:
        return not self.functions or any(word in function for word in self.functions)


class Deaths:
    """Decides of each invocation whether it dies, by the seed, the function and how often it was called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._order: Order | None = None
        self._called: Counter[str] = Counter()
        self._died: Counter[str] = Counter()

    def ask(self, order: Order | None) -> None:
        """Let functions die so from now on; None lets them live. Both begin to count anew."""
        with self._lock:
            self._order = order
            self._called.clear()
            if order is not None:
                self._died.clear()

    def told(self) -> dict[str, Any]:
        """The order, and how many invocations of each function have died since it was given."""
        with self._lock:
            return {"order": asdict(self._order) if self._order else None, "died": dict(self._died)}

    def draw(self, function: str, event: object) -> tuple[str | None, float]:
        """When this invocation dies, None if it lives, and after how many seconds if in the midst."""
        with self._lock:
            order = self._order
            if order is None or not order.names(function):
                return None, 0.0
            if order.poison and order.poison in json.dumps(event, ensure_ascii=False):
                self._died[function] += 1
                return BEFORE, 0.0
            self._called[function] += 1
            draw = Random(f"{order.seed}/{function}/{self._called[function]}")  # noqa: S311
            if draw.random() >= order.chance:
                return None, 0.0
            self._died[function] += 1
        if draw.random() < order.midst:
            return MIDST, draw.uniform(0, LATEST_SECONDS)
        return draw.choice((BEFORE, AFTER)), 0.0


deaths = Deaths()
"""Those of the account that this process is."""


def dying(
    function: str,
    event: object,
    request_id: str,
    invoke: Callable[[], dict[str, Any]],
    kill: Callable[[], None],
    of: Deaths = deaths,
) -> dict[str, Any]:
    """The worker's answer to an invocation, or that of one whose process was killed if it is its turn."""
    moment, seconds = of.draw(function, event)
    if moment is None:
        return invoke()
    if moment == BEFORE:
        return _killed(request_id)
    if moment == AFTER:
        invoke()
        return _killed(request_id)
    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        return invoke()
    finally:
        timer.cancel()


def _killed(request_id: str) -> dict[str, Any]:
    return {"status": "error", "log": "", "failure": exited(request_id, -signal.SIGKILL)}


def register() -> None:
    """Let the account answer at the path."""
    join_service("lambda_deaths", _handle, (PATH,), reset=lambda: deaths.ask(None))


async def _handle(
    method: str, _path: str, _headers: Mapping[str, str], body: bytes, _query: Mapping[str, Any]
) -> Answer:
    try:
        if method == "POST":
            deaths.ask(Order(**json.loads(body)))
        elif method == "DELETE":
            deaths.ask(None)
    except (TypeError, ValueError) as error:
        return json_answer(400, {"message": str(error)})
    return json_answer(200, deaths.told())
