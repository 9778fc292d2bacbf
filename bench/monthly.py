"""What the hub's stack costs in a month in which nothing happens, counted in its template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.cost_model import Quantity
from local.testing.metric_reader import metrics_of_alarm, sent_by

FLEET = "WorkersOn"
SECONDS_PER_MONTH = 30 * 24 * 3600
POLLERS = 5
"""Lambda reads a queue with so many long polls of 20 seconds, however idle it is (AWS Lambda Developer Guide,
«Using Lambda with Amazon SQS»)."""
LONG_POLL_SECONDS = 20


def monthly(template: Mapping[str, Any], functions: Path) -> list[Quantity]:
    """Keys, alarms, dashboards, custom metrics, and the polling of queues; without the fleet of workers,
    which is off unless asked for."""
    resources = [one for one in template["Resources"].values() if one.get("Condition") != FLEET]
    queues = sum(
        event["Type"] == "SQS"
        for resource in resources
        for event in resource.get("Properties", {}).get("Events", {}).values()
    )
    alarms = [one["Properties"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    alarmed = sum(len(metrics_of_alarm(alarm)) for alarm in alarms)
    polls = queues * POLLERS * SECONDS_PER_MONTH / LONG_POLL_SECONDS
    return [
        Quantity("kms.key-month", _number(resources, "AWS::KMS::Key"), "month"),
        Quantity("cloudwatch.alarm-metric-month", alarmed, "month"),
        Quantity("cloudwatch.metric-month", len(sent_by(functions)), "month"),
        Quantity("cloudwatch.dashboard-month", _number(resources, "AWS::CloudWatch::Dashboard"), "month"),
        Quantity("sqs.request", polls, "month"),
    ]


def memory(template: Mapping[str, Any]) -> dict[str, int]:
    """The megabytes of every function."""
    usual = template["Globals"]["Function"]["MemorySize"]
    return {
        name: int(resource["Properties"].get("MemorySize", usual))
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def _number(resources: Iterable[Mapping[str, Any]], kind: str) -> int:
    return sum(resource["Type"] == kind for resource in resources)
