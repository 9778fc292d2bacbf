"""Joins pipes to ministack, which keeps them: what they do with records is done here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.account.ministack_names import ministack
from local.pipes import api, put_events, rule_deliveries
from local.pipes.pipe_reader import PipeReader
from local.streams import registration as streams
from local.streams.arrivals import ARRIVALS
from local.streams.reader import Readers


def register() -> None:
    """Let pipes filter, enrich, and lead to every target as on AWS."""
    readers = Readers(streams.watch_writes())

    def begin(pipe: dict[str, Any]) -> None:
        reader = PipeReader.of(pipe)
        if reader is not None:
            readers.start(pipe, reader)

    pipes = ministack("ministack.services.pipes")
    pipes.reset = _announcing(pipes.reset)
    api.join(begin)
    put_events.register()
    rule_deliveries.register()


def _announcing(shipped: Callable[[], None]) -> Callable[[], None]:
    """A reset, of which readers hear at once."""

    def reset() -> None:
        shipped()
        ARRIVALS.announce()

    return reset
