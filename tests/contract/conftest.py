from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """An event for functions to wait on, set when the test is over."""
    event = threading.Event()
    yield event
    event.set()
