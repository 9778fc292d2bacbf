"""Joins readers of streams to ministack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.account.ministack_names import ministack
from local.streams.arrivals import ARRIVALS, Arrivals


def watch_writes() -> Arrivals:
    """What happens in the account's streams; every write is announced in it from now on."""
    dynamodb = ministack("ministack.services.dynamodb")
    if not getattr(dynamodb._emit_stream_event, "announces", False):
        dynamodb._emit_stream_event = _announcing(dynamodb._emit_stream_event)
    return ARRIVALS


def _announcing(shipped: Callable[..., Any]) -> Callable[..., Any]:
    def emit_stream_event(*args: Any, **kwargs: Any) -> Any:
        answer = shipped(*args, **kwargs)
        ARRIVALS.announce()
        return answer

    emit_stream_event.announces = True  # type: ignore[attr-defined]
    return emit_stream_event
