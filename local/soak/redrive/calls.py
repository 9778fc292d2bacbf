"""Calls of functions to AWS that fail, and functions that die at one, before it takes effect or after.

After a refusal, and where no connection was had, nothing was done. An answer that says that a service has
failed, and a connection that is lost, say nothing of whether it was done: here it was, or not. The names of
errors are those of botocore, and of «Common errors» in the API references of SQS, DynamoDB, S3 and Lambda.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from local.soak.faults.mortal import ERRORS, Handler, Killed
from local.soak.redrive.clock import Clock
from local.stepfunctions.workbench_functions import Functions

_LATEST_DEATH = 40
_ENDPOINT = "https://service.us-east-1.amazonaws.com/"
_REFUSALS: Mapping[str, tuple[str, ...]] = {
    "sqs": ("RequestThrottled", "AccessDenied", "KMS.ThrottlingException", "KMS.DisabledException"),
    "dynamodb": ("ProvisionedThroughputExceededException", "AccessDeniedException", "ThrottlingException"),
    "s3": ("SlowDown", "AccessDenied", "KMS.DisabledException"),
    "lambda": ("TooManyRequestsException", "AccessDeniedException"),
    "events": ("ThrottlingException", "AccessDeniedException"),
    "states": ("ThrottlingException", "AccessDeniedException", "ExecutionLimitExceeded"),
}
_DELETES = ("DeleteMessage", "DeleteMessageBatch")
_LETTING_GO = "ChangeMessageVisibilityBatch"
_UNAVAILABLE = "ServiceUnavailable"
_FAILED: Mapping[str, str] = {
    "sqs": "InternalError",
    "dynamodb": "InternalServerError",
    "s3": "InternalError",
    "lambda": "ServiceException",
    "events": "InternalException",
    "states": "InternalFailure",
}


@dataclass
class Invocation:
    """One call of a function: at which of its calls it dies, if it does, how often one fails, how often SQS
    deletes nothing, and for how many real seconds it keeps hidden what it has looked at."""

    draw: Random
    dies_at: int | None
    refusals: float
    undeleted: float = 0.0
    looks_for: float = 0.0
    calls: int = 0
    dead: bool = False

    def call(self, service: str, operation: str, make: Callable[[], Any]) -> Any:
        """Make a call, be answered with an error, or be killed at it."""
        number, self.calls = self.calls, self.calls + 1
        if self.dead:
            raise Killed
        if number == self.dies_at:
            self.dead = True
            if self.draw.random() < 0.5:
                make()
            raise Killed
        if operation == _LETTING_GO and self.looks_for:
            time.sleep(self.looks_for)
        if operation in _DELETES and self.draw.random() < self.undeleted:
            raise _error("RequestThrottled", 400, operation)
        if self.draw.random() >= self.refusals:
            return make()
        raise self._failure(service, operation, make)

    def _failure(self, service: str, operation: str, make: Callable[[], Any]) -> Exception:
        kind = self.draw.random()
        if kind < 0.4:
            codes = _REFUSALS.get(service, ("ThrottlingException", "AccessDeniedException"))
            return _error(self.draw.choice(codes), 400, operation)
        if kind < 0.5:
            return EndpointConnectionError(endpoint_url=_ENDPOINT)
        if self.draw.random() < 0.5:
            make()
        failed = _error(_FAILED.get(service, "InternalFailure"), 500, operation)
        unavailable = _error(_UNAVAILABLE, 503, operation)
        lost = (ReadTimeoutError(endpoint_url=_ENDPOINT), ConnectionClosedError(endpoint_url=_ENDPOINT))
        return self.draw.choice((failed, unavailable, *lost))


_current: ContextVar[Invocation | None] = ContextVar("redrive invocation", default=None)


def by_a_function() -> bool:
    """Whether a function of the workflow makes the call that is under way in this thread."""
    return _current.get() is not None


class Fate:
    """Decides which invocations die and which calls fail, by the seed, the function and how often it was
    called; how many do, and which functions look at queues for how long, is what the weather says."""

    def __init__(self, seed: str, clock: Clock) -> None:
        self._seed = seed
        self._clock = clock
        self._lock = threading.Lock()
        self._called: Counter[str] = Counter()
        self.calm()
        self.deaths = 0

    def calm(self) -> None:
        """Let nothing fail any more."""
        self.death_chance = self.refusal_chance = self.undeleted_chance = 0.0
        self.looks_for: Mapping[str, float] = {}

    def mortal(self, function: str, handler: Handler) -> Handler:
        """The handler, whose calls fail now and then, and which dies at one."""

        def invoke(event: Any, context: Any) -> Any:
            draw = self._begin(function)
            dies = draw.random() < self.death_chance
            at = draw.randrange(_LATEST_DEATH) if dies else None
            look = self.looks_for.get(function, 0.0)
            invocation = Invocation(draw, at, self.refusal_chance, self.undeleted_chance, look)
            token = _current.set(invocation)
            try:
                with self._clock.working():
                    return handler(event, context)
            except Killed:
                self.deaths += 1
            finally:
                _current.reset(token)
            raise type(draw.choice(ERRORS), (Exception,), {})("the function was killed")

        return invoke

    def _begin(self, function: str) -> Random:
        with self._lock:
            self._called[function] += 1
            return Random(f"{self._seed}/{function}/{self._called[function]}")  # noqa: S311


@contextmanager
def calls_watched() -> Iterator[None]:
    """Let every call that functions of the workflow make meet its fate."""
    make_call = BaseClient._make_api_call  # type: ignore[attr-defined]
    invoke = Functions.invoke

    def watched(client: Any, operation: str, request: dict[str, Any]) -> Any:
        service = client.meta.service_model.endpoint_prefix
        return _through(service, operation, lambda: make_call(client, operation, request))

    def watched_invoke(functions: Functions, **request: Any) -> Any:
        return _through("lambda", "Invoke", lambda: invoke(functions, **request))

    with (
        patch.object(BaseClient, "_make_api_call", watched),
        patch.object(Functions, "invoke", watched_invoke),
    ):
        yield


def _through(service: str, operation: str, make: Callable[[], Any]) -> Any:
    invocation = _current.get()
    return make() if invocation is None else invocation.call(service, operation, make)


def _error(code: str, status: int, operation: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "refused"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "00000000"},
    }
    return ClientError(answer, operation)
