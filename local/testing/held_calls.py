"""Functions of a workbench that wait until a test lets them go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def released(held: threading.Event) -> Iterator[None]:
    """Lets go what waits for the event before the bench is left, which waits for it."""
    try:
        yield
    finally:
        held.set()
