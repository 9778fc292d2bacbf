"""Calls of AWS, as many at once as a client has connections for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

MOST_AT_ONCE = 8
"""Half of the connections that a client keeps."""

Given = TypeVar("Given")
Answer = TypeVar("Answer")


def in_parallel(call: Callable[[Given], Answer], given: Sequence[Given]) -> list[Answer]:
    """What `call` answers to each, in their order, up to eight at a time. Raises what one of the calls has
    raised, when none is under way any more."""
    if len(given) < 2:
        return [call(one) for one in given]
    lanes = min(len(given), MOST_AT_ONCE)
    # To hand something to a thread takes processor time, so that each is handed a share of the calls at once.
    under_way = [_threads().submit(_each, call, given[lane::lanes]) for lane in range(lanes)]
    wait(under_way)
    shares = [one.result() for one in under_way]
    return [shares[place % lanes][place // lanes] for place in range(len(given))]


def _each(call: Callable[[Given], Answer], given: Sequence[Given]) -> list[Answer]:
    return [call(one) for one in given]


@cache
def _threads() -> ThreadPoolExecutor:
    """Kept from one batch to the next: to start threads takes longer than to read most batches."""
    return ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="calls-of-aws")
