"""The job for an item that has gathered enough: it takes what is there as one batch."""

from __future__ import annotations

from typing import Any

from hub_worker.commits import Effect, ItemChange
from hub_worker.errors import PoisonMessage
from hub_worker.jobs.contract import Work
from hub_worker.messages import JobMessage


class BatchItems:
    """Counts the batch as the transition saw it: a list by its length, a number as it is. The item itself
    goes on gathering, so nothing of it is changed."""

    def run(self, work: Work) -> Effect:
        return Effect({"items": _count(work.message.attributes.get("items"))})

    def failed(self, message: JobMessage, reason: str) -> ItemChange | None:  # noqa: ARG002
        return None


def _count(items: Any) -> int:
    match items:
        case list():
            return len(items)
        case bool():
            pass
        case int():
            return items
        case float() if items.is_integer():
            return int(items)
    raise PoisonMessage("The message carries no items to count.")
