"""How many batches of a queue a function is given at once.

AWS documentation: AWS Lambda Developer Guide, «Configuring scaling behavior for SQS event source mappings»;
«Using Lambda with Amazon SQS»: for FIFO queues, as many as there are active message groups. ministack gives a
function one batch of a FIFO queue after the other, whatever their groups are; its queues themselves give
nobody messages of a group of which some are with somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Concurrency = Callable[..., Any]


def by_group(shipped: Concurrency) -> Concurrency:
    """ministack's limit for a mapping, the same for both kinds of queues."""

    def concurrency(mapping: Mapping[str, Any], function: Any, configuration: Any, _queue: Any = None) -> int:
        return int(shipped(_with_number(mapping), function, configuration))

    return concurrency


def _with_number(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping, with a number for what a parameter of a template gives as text."""
    most = (mapping.get("ScalingConfig") or {}).get("MaximumConcurrency")
    return mapping if most is None else {**mapping, "ScalingConfig": {"MaximumConcurrency": int(most)}}
