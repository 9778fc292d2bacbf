"""Functions that die at a random AWS call, before it took effect or after, while others run beside them.

A killed Lambda function runs no line of Python more. Here `except BaseException` and `finally` still run, but
no call that they make has any effect. AWS Step Functions Developer Guide, «Handling errors in Step Functions
workflows»: Lambda reports such an end as `Runtime.ExitError` or `Sandbox.Timedout`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from healthlake_export.fhir_export_api import FhirExportApi

Handler = Callable[[Any, Any], Any]
ERRORS = ("Runtime.ExitError", "Sandbox.Timedout")
LATEST_CALL = 8


class Killed(BaseException):
    """No code may go on after this; what catches `Exception` does not see it."""


@dataclass
class Invocation:
    """One call of a function, and at which of its AWS calls it dies, if it does."""

    dies_at: int | None
    after: bool
    calls: int = 0
    dead: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, make: Callable[[], Any]) -> Any:
        """Make an AWS call, or be killed at it."""
        with self.lock:
            number, self.calls = self.calls, self.calls + 1
            fatal = number == self.dies_at
            if self.dead or (fatal and not self.after):
                self.dead = True
                raise Killed
        answer = make()
        if fatal or self.dead:
            self.dead = True
            raise Killed
        return answer


_current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


class Mortality:
    """Decides which invocations die, each by the seed, the function and how often it was called."""

    def __init__(self, seed: str, chance: float) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._called: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self.chance = chance
        self.deaths = 0

    def runs(self, function: str) -> bool:
        """Whether an invocation of the function is under way."""
        with self._lock:
            return self._running[function] > 0

    def mortal(self, function: str, handler: Handler) -> Handler:
        """The handler, which now and then dies."""

        def invoke(event: Any, context: Any) -> Any:
            draw = self._begin(function)
            at = draw.randrange(LATEST_CALL) if draw.random() < self.chance else None
            token = _current.set(Invocation(at, after=draw.random() < 0.5))
            try:
                return handler(event, context)
            except Killed:
                self.deaths += 1
            finally:
                _current.reset(token)
                with self._lock:
                    self._running[function] -= 1
            raise type(draw.choice(ERRORS), (Exception,), {})("the function was killed")

        return invoke

    def _begin(self, function: str) -> Random:
        with self._lock:
            self._called[function] += 1
            self._running[function] += 1
            return Random(f"{self._seed}/{function}/{self._called[function]}")  # noqa: S311


@contextmanager
def calls_watched() -> Iterator[None]:
    """Let mortal functions see every call that they make to AWS, in whatever thread."""
    make_call = BaseClient._make_api_call  # type: ignore[attr-defined]
    exchange, submit = FhirExportApi._exchange, ThreadPoolExecutor.submit

    def watched_call(client: Any, operation: str, request: dict[str, Any]) -> Any:
        return _through(lambda: make_call(client, operation, request))

    def watched_exchange(api: Any, *request: Any) -> Any:
        return _through(lambda: exchange(api, *request))

    def submit_in_context(pool: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        return submit(pool, copy_context().run, function, *args, **kwargs)

    with ExitStack() as patches:
        patches.enter_context(patch.object(BaseClient, "_make_api_call", watched_call))
        patches.enter_context(patch.object(FhirExportApi, "_exchange", watched_exchange))
        patches.enter_context(patch.object(ThreadPoolExecutor, "submit", submit_in_context))
        yield


def _through(make: Callable[[], Any]) -> Any:
    invocation = _current.get()
    return make() if invocation is None else invocation.call(make)
