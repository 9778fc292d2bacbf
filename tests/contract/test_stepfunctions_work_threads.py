"""Threads of one owner: all of them are waited for, and who goes on is named."""

from __future__ import annotations

import threading

import pytest

from local.stepfunctions.work_threads import WorkThreads
from local.testing.patience import PATIENCE_SECONDS


def test_threads_that_threads_start_are_waited_for() -> None:
    threads, ended = WorkThreads(), threading.Event()
    threads.start("first", lambda: threads.start("second", ended.set))

    threads.join()

    assert ended.is_set()


def test_a_thread_does_not_wait_for_itself() -> None:
    threads, joined = WorkThreads(), threading.Event()

    def join() -> None:
        threads.join()
        joined.set()

    threads.start("pump", join)

    assert joined.wait(PATIENCE_SECONDS)


def test_a_thread_that_goes_on_is_named() -> None:
    threads, over = WorkThreads(), threading.Event()
    threads.start("states-task", over.wait)

    with pytest.raises(TimeoutError, match="after 0 s there still run: states-task"):
        threads.join(0)

    over.set()
    threads.join()
