"""Atomic writes for moto's DynamoDB.

On AWS a conditional write is atomic: of two that compete one wins. moto checks the condition and writes
in two steps, so that threads that write at once can all win. Tests that let handlers run at the same
time would then see races that AWS does not have; one lock around each call removes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any
from unittest.mock import patch

from moto.dynamodb.responses import DynamoHandler

_ONE_CALL_AT_A_TIME = RLock()


@contextmanager
def atomic_writes() -> Iterator[None]:
    """Let moto answer one DynamoDB call at a time while the context is open."""
    call_action = DynamoHandler.call_action

    def one_at_a_time(handler: Any) -> Any:
        with _ONE_CALL_AT_A_TIME:
            return call_action(handler)

    with patch.object(DynamoHandler, "call_action", one_at_a_time):
        yield
