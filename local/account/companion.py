"""A process that the account ends with: one that was killed cannot stop what it has started."""

import os
import select
import signal
import threading
import time

from local.account import processes

VARIABLE = "LOCAL_ACCOUNT_ENDS_WITH"
"""Environment variable with the id of that process; tests set it to their own."""

_LOOK_SECONDS = 1.0


def end_with(pid: int) -> None:
    """Send this process TERM when that one has ended, from a thread of its own."""
    threading.Thread(target=_wait_and_end, args=(pid,), name="companion", daemon=True).start()


def _wait_and_end(pid: int) -> None:
    try:
        _wait(pid)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def _wait(pid: int) -> None:
    """Return when the process has ended, or has ended before."""
    if not hasattr(os, "pidfd_open"):  # other systems than Linux
        while processes.started_token(pid) is not None:
            time.sleep(_LOOK_SECONDS)
        return
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([ended], [], [])
