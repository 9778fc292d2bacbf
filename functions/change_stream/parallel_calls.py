"""Calls of AWS that wait for each other's answers for nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

MOST_AT_ONCE = 8
"""Half of the connections that a client keeps."""

Given = TypeVar("Given")
Answer = TypeVar("Answer")


def in_parallel(call: Callable[[Given], Answer], given: Sequence[Given]) -> list[Answer]:
    """What `call` answers to each, in their order, up to eight at a time. Raises what the first of them in
    that order has raised, when none is under way any more."""
    if len(given) < 2:
        return [call(one) for one in given]
    with ThreadPoolExecutor(min(len(given), MOST_AT_ONCE)) as threads:
        return list(threads.map(call, given))
