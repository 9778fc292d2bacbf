"""What a pipe would do with records: its enrichment, then its target.

Follows «DescribePipe» of the Amazon EventBridge Pipes API Reference and «Amazon EventBridge Pipes concepts»
of the Amazon EventBridge User Guide. A pipe that rewrites its input by a template, or whose target is of
another kind than these, cannot be stood in for, and what it failed on goes to quarantine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlq_redrive.arns import is_fifo, parse_arn
from dlq_redrive.errors import TargetRefused
from dlq_redrive.request_parts import json_bytes

_SERVICES = ("lambda", "sqs", "events", "firehose")
_PATH = re.compile(r"\$(\.\w+)+")


@dataclass(frozen=True)
class PipeTarget:
    """Where a pipe leads: a function that enriches, if any, and a function, standard queue, bus or delivery
    stream. What a bus is told of an event may be a path into it («Dynamic path parameters»)."""

    arn: str
    enrichment: str | None = None
    event_source: str | None = None
    detail_type: str | None = None
    event_time: str | None = None

    @property
    def service(self) -> str:
        """The target's service."""
        found = parse_arn(self.arn)
        return "" if found is None else found.service


def read_pipe(described: Mapping[str, Any]) -> PipeTarget | None:
    """The target in an answer of DescribePipe; None when it cannot be stood in for."""
    parameters = described.get("TargetParameters", {})
    bus = parameters.get("EventBridgeEventBusParameters", {})
    enrichment = described.get("Enrichment") or None
    rewrites = parameters.get("InputTemplate") or described.get("EnrichmentParameters", {}).get(
        "InputTemplate"
    )
    told = (bus.get("Source"), bus.get("DetailType"), bus.get("Time"))
    target = PipeTarget(described["Target"], enrichment, *told)
    if rewrites or target.service not in _SERVICES or is_fifo(target.arn):
        return None
    if enrichment is not None and getattr(parse_arn(enrichment), "service", "") != "lambda":
        return None
    return None if target.service == "events" and not (target.event_source and target.detail_type) else target


def told_of(event: Any, given: str) -> str:
    """What a parameter of a target says of an event: the text at its path, or itself where it is none.

    Raises ValueError where the event has no text there; then the pipe has failed on it, too.
    """
    if not _PATH.fullmatch(given):
        return given
    found = event
    for name in given.split(".")[1:]:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, str):
        raise ValueError("the event has no such text")
    return found


def enriched(answer: bytes) -> list[Any]:
    """What an enrichment answered, one element for each event; what is no list is one event. Raises
    `TargetRefused` for what is no JSON."""
    try:
        found = json.loads(answer)
    except ValueError:
        raise TargetRefused("The function that enriches for the pipe answered what is no JSON.") from None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def bus_entry(target: PipeTarget, event: Any) -> dict[str, Any]:
    """What PutEvents is given of an event. Raises `TargetRefused` for one that lacks what the bus is to be
    told of it."""
    given = {"Source": target.event_source, "DetailType": target.detail_type, "Time": target.event_time}
    try:
        told = {name: told_of(event, value) for name, value in given.items() if value is not None}
    except ValueError:
        raise TargetRefused(
            "The pipe tells the bus something of each event that one does not have."
        ) from None
    return {"EventBusName": target.arn, **told, "Detail": json_bytes(event).decode()}
