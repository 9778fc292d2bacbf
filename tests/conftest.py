"""That nothing which tests start outlives them, and what handlers get."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from local.account import companion


def pytest_configure() -> None:
    """Let local accounts end with the process that runs the tests, however that one ends, and read what
    botocore knows of services once: each test has a session of its own, and a third of the time of tests on
    moto went into reading the same files for each."""
    os.environ[companion.VARIABLE] = str(os.getpid())
    shipped = JSONFileLoader.load_file
    loaded = cache(lambda file_path: shipped(JSONFileLoader(), file_path))

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        return loaded(file_path)

    JSONFileLoader.load_file = load_file  # type: ignore[method-assign]


@pytest.fixture
def lambda_context() -> Any:
    """What Lambda hands a handler beside the event."""
    return SimpleNamespace(
        function_name="function",
        memory_limit_in_mb=256,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:function",
        aws_request_id="00000000-0000-0000-0000-000000000001",
        get_remaining_time_in_millis=lambda: 60_000,
    )


@pytest.fixture
def usual_recursion_limit() -> Iterator[None]:
    """The limit that Python starts with. Property tests raise it, and what is too deep to read is past it."""
    raised = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(raised)
