"""Looks at processes of this machine, and ends a group of them."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from local.account import signals

POLL_SECONDS = 0.05


@contextmanager
def group_of(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, which is ended when the block is left by an exception.

    Ctrl-C in a terminal reaches this process only, and what the command has started is in its group.
    """
    process: subprocess.Popen[str] | None = None
    try:
        with signals.deferred():
            process = subprocess.Popen(command, start_new_session=True, text=True, **options)
        yield process
    except BaseException:
        if process is not None:
            with signals.ignored():
                end_group(process.pid, grace_seconds=1.0)
        raise


def started_token(pid: int) -> str | None:
    """A text that tells this process from a later one with the same id, or None if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _started_by_ps(pid)
    # after the name: state is the first field, the start time in clock ticks the twentieth
    return None if fields[0] == "Z" else fields[19]


def group_members(group: int) -> list[int]:
    """The ids of the running processes of a process group; ended ones that nobody collected do not count."""
    members = []
    for line in _all_processes():
        pid, process_group, state = line.split()[:3]
        if int(process_group) == group and not state.startswith("Z"):
            members.append(int(pid))
    return members


def end_group(group: int, grace_seconds: float) -> bool:
    """End a process group: TERM, after the grace period KILL. Returns whether every process has ended."""
    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            _collect(group)
            if not group_members(group):
                return True
            time.sleep(POLL_SECONDS)
    return not group_members(group)


def _collect(pid: int) -> None:
    """Take the exit status of a process that this one started, so that it is gone for good."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _all_processes() -> list[str]:
    """One line per process: id, group, state."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(
            ["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
        )
        return listing.stdout.splitlines()
    lines = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                state, _, group, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
                lines.append(f"{folder.name} {group} {state}")
    return lines


def _started_by_ps(pid: int) -> str | None:
    """The start time as ps tells it, for systems without /proc."""
    if Path("/proc/self/stat").exists():
        return None
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() or None
