"""Functions killed in the middle: at a chosen write to AWS, before it took effect or after it did.

    killable = KillableFunction(process_range.lambda_handler)
    hub.bench.functions["ProcessRangeFunction"] = killable
    with aws_calls_watched():
        killable.die([Death(3), Death(3, after=True)])
        hub.run()

A killed Lambda function runs no line of Python more: no `except`, no `finally`. Here those run, but no AWS
call that they make has any effect. Lambda's own words for such an end are `Sandbox.Timedout` and
`Runtime.ExitError` (AWS Step Functions Developer Guide, «Handling errors in Step Functions workflows»).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from unittest.mock import patch

from botocore.client import BaseClient

_READS = ("Get", "List", "Head", "Describe", "Query", "Scan", "BatchGet", "Receive")
_OF_A_POOL = "put-events"

Handler = Callable[[Any, Any], Any]


class Killed(BaseException):
    """No code may go on after this; what catches `Exception` does not see it."""


@dataclass(frozen=True)
class Death:
    """At a function's write of that number, counted from 0, or at the first of an operation, before it takes
    effect or after; `error` is what Lambda reports."""

    write: int | str
    after: bool = False
    error: str = "Runtime.ExitError"


class KillableFunction:
    """A handler that dies the deaths it is given, one an invocation, and then works. `writes` are the
    operations of its last invocation that change something.

    One invocation at a time: calls count as its own when they come from its thread or from the threads
    that publish events.
    """

    _working: ClassVar[dict[int, KillableFunction]] = {}

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._deaths: Iterator[Death] = iter(())
        self._next: Death | None = None
        self._dead = False
        self.writes: list[str] = []
        self.deaths = 0

    def die(self, deaths: Iterable[Death]) -> None:
        """What the next invocations die of."""
        self._deaths = iter(deaths)

    def __call__(self, event: Any, context: Any) -> Any:
        self._dead = False
        self._next = death = next(self._deaths, None)
        self.writes = []
        thread = threading.get_ident()
        self._working[thread] = self
        try:
            return self._handler(event, context)
        except Killed:
            self.deaths += 1
        finally:
            del self._working[thread]
        assert death is not None
        raise type(death.error, (Exception,), {})("the function was killed")

    @classmethod
    def of_this_thread(cls) -> KillableFunction | None:
        """The function whose invocation makes calls from here, if it is one of these."""
        if threading.current_thread().name.startswith(_OF_A_POOL):
            return next(iter(cls._working.values()), None)
        return cls._working.get(threading.get_ident())

    def call(self, operation: str, make: Callable[[], Any]) -> Any:
        """Make an AWS call, or be killed at it."""
        if self._dead:
            raise Killed
        if operation.startswith(_READS):
            return make()
        with self._lock:
            number = len(self.writes)
            self.writes.append(operation)
        if self._next is None or self._next.write not in (number, operation):
            return make()
        if self._next.after:
            make()
        self._dead = True
        raise Killed


@contextmanager
def aws_calls_watched() -> Iterator[None]:
    """Lets killable functions see the calls of every boto3 client while the context is open."""
    make_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def watched(client: Any, operation: str, request: dict[str, Any]) -> Any:
        function = KillableFunction.of_this_thread()
        if function is None:
            return make_call(client, operation, request)
        return function.call(operation, lambda: make_call(client, operation, request))

    with patch.object(BaseClient, "_make_api_call", watched):
        yield
