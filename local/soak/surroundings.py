"""What surrounds the runs of a soak: no output but its own, and no waits of functions that try again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any
from unittest.mock import patch

from botocore.retries.standard import ExponentialBackoff

from common.retry_policy import RetryPolicy


@contextmanager
def short_waits() -> Iterator[None]:
    """The functions' own retries wait a moment instead of seconds."""

    def wait(_policy: Any, _failures: int) -> None:
        time.sleep(0.001)

    with (
        patch.object(RetryPolicy, "wait", wait),
        patch.object(ExponentialBackoff, "delay_amount", lambda *_: 0.001),
    ):
        yield


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what the functions log and count out of the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)


@contextmanager
def overheard() -> Iterator[StringIO]:
    """Keep what is printed and logged out of the terminal, and give it to whoever asks."""
    with redirect_stdout(StringIO()) as printed:
        yield printed
