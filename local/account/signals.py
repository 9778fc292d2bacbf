"""What signals do to a command that has processes to look after: end it in order, or wait, or nothing."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Ctrl-C, `kill`, and the terminal that is closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], Any] | int


@contextmanager
def interrupting() -> Iterator[None]:
    """Let every signal that ends a command do what Ctrl-C does: raise KeyboardInterrupt.

    What ignores a signal from its start (nohup) goes on doing so.
    """
    with _handled_by(_interrupt, also_ignored=False):
        yield


@contextmanager
def ignored() -> Iterator[None]:
    """Let nothing but KILL disturb the block, which cleans up and does not take long."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def deferred() -> Iterator[None]:
    """Deliver what comes during the block, which must be done whole, at its end."""
    arrived: list[int] = []
    # a Python function and not SIG_IGN, which a process that is started in the block would inherit
    with _handled_by(lambda number, _frame: arrived.append(number)):
        yield
    for number in arrived[:1]:
        signal.raise_signal(number)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _handled_by(handler: Handler, *, also_ignored: bool = True) -> Iterator[None]:
    # Python handles signals in the main thread; in any other there is nothing to change
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in ENDING}
    changed = [number for number in ENDING if also_ignored or previous[number] != signal.SIG_IGN]
    for number in changed:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, previous[number])
