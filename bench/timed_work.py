"""One piece of work, timed in a process of its own: the other side of `bench.work_processes`.

The process gets ready (imports, clients, a small input first, as in a warm execution environment), says so
in a line, waits for a line, works, and prints what it took as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Work = Callable[[], object]
Prepare = Callable[[Path, Path], Work]
"""Gets ready to work on an input, with a folder to write to, and returns the work."""

READY = "ready"
_WORDS = 9


def main(works: Mapping[str, Prepare], arguments: list[str]) -> None:
    """Do what the arguments name: work, its input, a small input to get warm with, a folder to write in."""
    name, given, warm_up, folder = arguments
    try:
        works[name](Path(warm_up), Path(folder))()
        work = works[name](Path(given), Path(folder))
    except Exception as error:
        _say(READY)
        sys.stdin.readline()
        _say(json.dumps({"failed": _first_words(error)}))
        return
    _say(READY)
    sys.stdin.readline()
    _say(json.dumps(_timed(work)))


def _timed(work: Work) -> dict[str, Any]:
    """Seconds of the processor, user and system; begin and end on the system's clock; peak memory in MB."""
    before, begin = _cpu_seconds(), time.monotonic()
    try:
        work()
    except Exception as error:
        return {"failed": _first_words(error)}
    return {
        "cpu": _cpu_seconds() - before,
        "begin": begin,
        "end": time.monotonic(),
        "peak": peak_megabytes(),
    }


def peak_megabytes() -> float:
    """Peak resident memory since the program was loaded, in MB of 1,000,000 bytes. Linux hands on the peak of
    the parent in getrusage, and has a process's own in /proc."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _first_words(error: Exception) -> str:
    words = f"{type(error).__name__}: {error}".split()
    return " ".join(words[:_WORDS])


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
