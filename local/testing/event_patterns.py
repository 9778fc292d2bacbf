"""The event patterns of the template's rules, with what they refer to put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from local.testing import template_reader

JOB_EVENTS = ("ExportJobEventsRule", "Properties", "EventPattern")
ENDED_EXECUTIONS = (
    "CleanUpFailedRunFunction",
    "Properties",
    "Events",
    "ExecutionEnded",
    "Properties",
    "Pattern",
)
REDRIVE_ALARMS = ("RedriveAlarmRule", "Properties", "EventPattern")
POSITION_ALARMS = ("RedrivePositionsRule", "Properties", "EventPattern")


def event_pattern(template: template_reader.Value, path: tuple[str, ...], values: Mapping[str, str]) -> Any:
    """The pattern at `path` below Resources. References get their value from `values`, those within a text
    too; of a condition the second arm is taken, which for this template is the existing datastore's."""
    found = template["Resources"]
    for name in path:
        found = found[name]
    return _resolved(found, values)


def _resolved(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_resolved(item, values) for item in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return values[value["Ref"]]
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], value["Fn::Sub"])
    if "Fn::If" in value:
        return _resolved(value["Fn::If"][2], values)
    return {name: _resolved(item, values) for name, item in value.items()}
