"""That nothing which tests start outlives them, what their sessions share, and what handlers get."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader, Loader
from moto.core.loaders import Loader as MotoLoader

from local.account import companion


class SharedFiles(JSONFileLoader):
    """Files of botocore's, of which each is read once for all sessions."""

    def load_file(self, file_path: str) -> Any:
        return _content(file_path)


@cache
def _content(file_path: str) -> Any:
    return JSONFileLoader().load_file(file_path)


def pytest_configure() -> None:
    """Let local accounts end with the process that runs the tests, however that one ends, and let sessions
    share what botocore has read: each test has one of its own, and to read the same files for each took a
    third of the time of tests on moto. What moto reads it changes, so that it has its own."""
    os.environ[companion.VARIABLE] = str(os.getpid())
    Loader.FILE_LOADER_CLASS = SharedFiles
    MotoLoader.FILE_LOADER_CLASS = JSONFileLoader


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
