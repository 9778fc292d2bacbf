"""Metrics out of log lines in the embedded metric format.

AWS documentation: Amazon CloudWatch User Guide, «Specification: Embedded metric format».
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# A log line of functions is at most 256 KiB; values of one metric in one line are at most 100.
_MARK = '"CloudWatchMetrics"'
_MOST_VALUES = 100


@dataclass(frozen=True)
class Measured:
    """The values of one metric, under one set of dimensions, in one log line; the time in epoch seconds."""

    namespace: str
    name: str
    unit: str
    dimensions: Mapping[str, str]
    values: tuple[float, ...]
    time: float


def measured_in(line: str) -> list[Measured]:
    """The metrics of a log line; none for a line of another kind or one that breaks the specification."""
    if _MARK not in line:
        return []
    try:
        document = json.loads(line)
        return list(_metrics_of(document))
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _metrics_of(document: Mapping[str, Any]) -> Iterator[Measured]:
    time = document["_aws"]["Timestamp"] / 1000
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            # a dimension without its member in the line makes the whole directive invalid
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                yield Measured(
                    directive["Namespace"],
                    metric["Name"],
                    metric.get("Unit", "None"),
                    dimensions,
                    _values(document[metric["Name"]]),
                    time,
                )


def _values(written: Any) -> tuple[float, ...]:
    many = written if isinstance(written, list) else [written]
    if not 1 <= len(many) <= _MOST_VALUES:
        raise ValueError("a metric has 1 to 100 values")
    return tuple(float(one) for one in many)
