"""What the hub's stack costs in a month in which nothing happens, counted in its template."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.cost_model import Quantity

SECONDS_PER_MONTH = 30 * 24 * 3600
POLLERS = 5
"""Lambda reads a queue with so many long polls of 20 seconds, however idle it is (AWS Lambda Developer Guide,
«Using Lambda with Amazon SQS»)."""
LONG_POLL_SECONDS = 20
_COUNTING = ("count", "measure_seconds")


def monthly(template: Mapping[str, Any], functions: Path) -> list[Quantity]:
    """Keys, alarms, dashboard, custom metrics, and the polling of queues."""
    resources = template["Resources"].values()
    queues = sum(
        event["Type"] == "SQS"
        for resource in resources
        for event in resource.get("Properties", {}).get("Events", {}).values()
    )
    polls = queues * POLLERS * SECONDS_PER_MONTH / LONG_POLL_SECONDS
    return [
        Quantity("kms.key-month", _number(resources, "AWS::KMS::Key"), "month"),
        Quantity("cloudwatch.alarm-metric-month", alarm_metrics(template), "month"),
        Quantity("cloudwatch.metric-month", len(custom_metrics(functions)), "month"),
        Quantity("cloudwatch.dashboard-month", _number(resources, "AWS::CloudWatch::Dashboard"), "month"),
        Quantity("sqs.request", polls, "month"),
    ]


def alarm_metrics(template: Mapping[str, Any]) -> int:
    """The metrics that the alarms look at: one, or as many as an expression takes."""
    alarms = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]
    return sum(
        sum("MetricStat" in metric for metric in alarm.get("Metrics", [{"MetricStat": {}}]))
        for alarm in alarms
    )


def custom_metrics(functions: Path) -> set[str]:
    """The names of the metrics that the functions write."""
    calls = (
        node
        for path in functions.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _COUNTING
    )
    return {keyword.arg for call in calls for keyword in call.keywords if keyword.arg}


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
