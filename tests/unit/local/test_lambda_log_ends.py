"""The lines of a call end where the worker says so."""

from __future__ import annotations

import queue
import time

import pytest

from local.lambda_runtime import log_ends
from local.lambda_runtime.log_ends import END, lines_of_call


@pytest.mark.parametrize(
    ("written", "taken", "left"),
    [
        ([END], [], []),
        (["one", "two", END], ["one", "two"], []),
        (["one", f"unended{END}"], ["one", "unended"], []),
        (["one", END, "of the next call", END], ["one"], ["of the next call", END]),
    ],
)
def test_a_call_has_its_own_lines_at_once(
    monkeypatch: pytest.MonkeyPatch, written: list[str], taken: list[str], left: list[str]
) -> None:
    monkeypatch.setattr(log_ends, "LONGEST_SECONDS", 120)
    lines: queue.Queue[str] = queue.Queue()
    for line in written:
        lines.put(line)
    started = time.monotonic()

    assert lines_of_call(lines) == taken
    assert time.monotonic() - started < 60
    assert list(lines.queue) == left


def test_lines_of_a_process_that_was_ended_are_taken_as_they_are() -> None:
    lines: queue.Queue[str] = queue.Queue()
    lines.put("last words")
    assert lines_of_call(lines) == ["last words"]
