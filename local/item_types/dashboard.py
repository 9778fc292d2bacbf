"""The dashboard of the consumers: alarms, queues and functions of all item types, and the FHIR writer."""

from __future__ import annotations

from collections.abc import Sequence

from local.item_types.consumers import alarm_resources
from local.item_types.declared import DeclaredType

WRITER_ALARMS = (
    "FhirWritesDeadLettersAlarm",
    "FhirWritesQuarantinedAlarm",
    "FhirWritesLateAlarm",
    "WriteFhirThrottledAlarm",
)
_WRITER_COUNTS = (
    "FhirWritesQueued",
    "FhirResourcesWritten",
    "FhirResourcesDeleted",
    "FhirWritesDropped",
    "FhirWritesBusy",
    "FhirWritesQuarantined",
)

_HEAD = """\
  RecordConsumersDashboard:
    Type: AWS::CloudWatch::Dashboard
    Properties:
      DashboardName: !Sub "${AWS::StackName}-record-consumers"
      DashboardBody: !Sub |
        {"widgets": [
"""
_TAIL = """\
        ]}
"""
_INDENT = " " * 8


def dashboard(types: Sequence[DeclaredType]) -> str:
    """The dashboard as text of the template."""
    queues = [f"{one.name}ChangesQueue" for one in types] + ["FhirWritesQueue"]
    dead = [f"{one.name}{kind}DeadLetterQueue" for one in types for kind in ("Rule", "Changes")]
    functions = [f"{one.name}ChangesFunction" for one in types if one.resource] + ["WriteFhirFunction"]
    visible, age = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
    widgets = [
        _alarms([*alarm_resources(types), *WRITER_ALARMS]),
        _metrics(0, 0, "Changes in queues", "Maximum", _by_queue(visible, queues)),
        _metrics(8, 0, "Age of the oldest change, seconds", "Maximum", _by_queue(age, queues)),
        _metrics(16, 0, "Dead letters", "Maximum", _by_queue(visible, [*dead, "FhirWritesDeadLetterQueue"])),
        _metrics(0, 6, "Resources written to HealthLake", "Sum", _counts()),
        _metrics(8, 6, "Errors of consumers", "Sum", _by_function("Errors", functions)),
        _metrics(16, 6, "Throttled consumers", "Sum", _by_function("Throttles", functions)),
    ]
    return _HEAD + ",\n".join(_INDENT + one for one in widgets) + "\n" + _TAIL


def _alarms(alarms: Sequence[str]) -> str:
    height = 2 + 2 * ((len(alarms) + 11) // 12)
    arns = ", ".join(f'"${{{one}.Arn}}"' for one in alarms)
    # Last, since it grows with the types.
    return (
        f'{{"type": "alarm", "x": 0, "y": 12, "width": 24, "height": {height}, "properties": '
        f'{{"title": "Alarms: docs/runbook.md has a section for each", "alarms": [{arns}]}}}}'
    )


def _metrics(x: int, y: int, title: str, stat: str, metrics: Sequence[str]) -> str:
    return (
        f'{{"type": "metric", "x": {x}, "y": {y}, "width": 8, "height": 6, "properties": '
        f'{{"title": "{title}", "region": "${{AWS::Region}}", "view": "timeSeries", "stat": "{stat}", '
        f'"period": 300, "metrics": [{", ".join(metrics)}]}}}}'
    )


def _by_queue(metric: str, queues: Sequence[str]) -> list[str]:
    return [f'["AWS/SQS", "{metric}", "QueueName", "${{{one}.QueueName}}"]' for one in queues]


def _by_function(metric: str, functions: Sequence[str]) -> list[str]:
    return [f'["AWS/Lambda", "{metric}", "FunctionName", "${{{one}}}"]' for one in functions]


def _counts() -> list[str]:
    return [f'["HealthLakeHub", "{one}", "service", "${{AWS::StackName}}"]' for one in _WRITER_COUNTS]
