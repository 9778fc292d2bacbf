"""What X-Ray is told of an exception: its type and where it came up, never its message.

The X-Ray SDK records `str(exception)` of every AWS call that fails, which are the service's own words and may
quote what was being processed. It offers no switch for that, so its emitter is wrapped: that is the one
place through which everything leaves for the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Emitter(Protocol):
    """What the SDK's recorder sends segments and subsegments through."""

    def send_entity(self, entity: Any) -> None:
        """Send a segment or subsegment to the X-Ray daemon."""


class QuietEmitter:
    """Sends through another emitter what is left of an entity without the messages of its exceptions."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter

    def send_entity(self, entity: Any) -> None:
        """Send a segment or subsegment with everything below it."""
        for recorded in _exceptions(entity):
            recorded.message = None
        self._emitter.send_entity(entity)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._emitter, name)


def _exceptions(entity: Any) -> Iterator[Any]:
    """Every exception of an entity and of those below it. A cause that was recorded before is only an id."""
    if isinstance(entity.cause, dict):
        yield from entity.cause.get("exceptions", ())
    for below in entity.subsegments:
        yield from _exceptions(below)
