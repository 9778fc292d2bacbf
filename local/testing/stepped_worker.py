"""A worker whose every call is a point at which another one may go on, or it may die."""

from __future__ import annotations

from collections.abc import Callable
from threading import Semaphore, Thread


class KilledError(BaseException):
    """The end of a worker, in the midst of whatever it does."""


class Worker:
    """A thread that goes on only when it is let."""

    def __init__(self, work: Callable[[], None], born: float) -> None:
        self.born = born
        self.done = False
        self.dying = False
        self._go, self._back = Semaphore(0), Semaphore(0)
        self._thread = Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Let the worker go on to its next call, or to its end."""
        self._go.release()
        self._back.acquire()
        if self.done:
            self._thread.join()

    def wait(self) -> None:
        """In the worker's thread: give way to others."""
        self._back.release()
        self._go.acquire()
        if self.dying:
            raise KilledError

    def _run(self, work: Callable[[], None]) -> None:
        self._go.acquire()
        try:
            if not self.dying:
                work()
        except KilledError:
            pass
        finally:
            self.done = True
            self._back.release()
