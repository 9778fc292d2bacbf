"""Which records of a stream a reader is given, where more stand in the range of a batch than it had.

Follows «Using event filtering with a DynamoDB event source» and «ListEventSourceMappings» of the AWS Lambda
documentation; pipes have the same filters. Those on the name of the event alone are understood here: to stand
in for every event pattern would be to build them anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlq_redrive.failure_records import Position
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.ways_back import LATEST

_UNKNOWN: dict[str, Any] = {"Filters": [{}]}
"""Of filters that Lambda could not decrypt for who asks."""


def meant_records(
    position: Position, records: list[Any], criteria: Callable[[], Sequence[Mapping[str, Any] | None]]
) -> list[Any] | Reason:
    """What to give a reader again of the records from the first to the last of a position.

    Where the batch had fewer, others stand between, of which the reader had some before: what its filters let
    through is all given. `criteria` asks for the filters of each reader that may be meant; when it is not one
    reader whose filters are known here, and have let so many through, the reason says so."""
    if position.batchSize in (0, len(records)):
        return records
    passed = [_passing(records, one) for one in criteria()]
    if len(passed) != 1 or passed[0] is None or len(passed[0]) < position.batchSize:
        return Reason.POSITION_SHARED
    return passed[0]


def filters_of_mappings(functions: Any, function_arn: str, stream_arn: str) -> list[Any]:
    """The filters of each mapping through which a function reads a stream."""
    asked = {"FunctionName": function_arn.removesuffix(LATEST), "EventSourceArn": stream_arn}
    found = functions.list_event_source_mappings(**asked)["EventSourceMappings"]
    return [one.get("FilterCriteria", _UNKNOWN if "FilterCriteriaError" in one else None) for one in found]


def _passing(records: Sequence[Mapping[str, Any]], criteria: Mapping[str, Any] | None) -> list[Any] | None:
    """The records that one of the filters lets through, all of them without filters; None where a filter is
    of another kind."""
    patterns = [one.get("Pattern") for one in (criteria or {}).get("Filters") or ()]
    if not patterns:
        return list(records)
    names = [_event_names(pattern) for pattern in patterns]
    if None in names:
        return None
    allowed = {name for some in names if some is not None for name in some}
    return [record for record in records if record.get("eventName") in allowed]


def _event_names(pattern: Any) -> list[str] | None:
    """What a pattern says that names `eventName` alone, and values for it; else None."""
    try:
        told = json.loads(pattern)
    except (TypeError, ValueError):
        return None
    if not isinstance(told, dict) or list(told) != ["eventName"] or not isinstance(told["eventName"], list):
        return None
    names: list[Any] = told["eventName"]
    return names if all(isinstance(name, str) for name in names) else None
