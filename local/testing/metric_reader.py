"""The metrics that alarms and dashboards of a template look at, and those that the functions send.

Values of dimensions are in the notation of `template_reader.text`.
AWS documentation: CloudFormation, AWS::CloudWatch::Alarm; Amazon CloudWatch API reference, «Dashboard body
structure and syntax».
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.testing.template_reader import Expanded, text

SENDING = ("count", "measure_seconds")
"""The functions of common.observability whose keywords are names of metrics."""

HUB = "HealthLakeHub"
STACK = "${AWS::StackName}"

_REFERENCE = re.compile(r"\$\{(\w+)\}")

# Metrics of AWS services by namespace, and the dimensions that each is sent under. AWS documentation:
# «Available CloudWatch metrics for Amazon SQS», «Monitoring Step Functions metrics using Amazon CloudWatch»,
# «Types of metrics for Lambda functions», «Monitoring Amazon EventBridge» (for the whole account and region),
# «DynamoDB metrics and dimensions», «Logging and monitoring Amazon EventBridge Pipes using Amazon CloudWatch
# Logs», «Monitor Amazon Data Firehose using CloudWatch metrics».
SERVICES: Mapping[str, tuple[set[str], tuple[str, ...], str]] = {
    "AWS/SQS": (
        {
            "ApproximateNumberOfMessagesVisible",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateAgeOfOldestMessage",
        },
        ("QueueName",),
        "AWS::SQS::Queue",
    ),
    "AWS/States": (
        {
            "ExecutionsStarted",
            "ExecutionsSucceeded",
            "ExecutionsFailed",
            "ExecutionsTimedOut",
            "ExecutionsAborted",
        },
        ("StateMachineArn",),
        "AWS::StepFunctions::StateMachine",
    ),
    "AWS/Lambda": (
        {"Errors", "Throttles", "Duration", "Invocations", "ConcurrentExecutions", "IteratorAge"},
        ("FunctionName",),
        "AWS::Lambda::Function",
    ),
    "AWS/DynamoDB": ({"ConsumedWriteCapacityUnits"}, ("TableName",), "AWS::DynamoDB::Table"),
    "AWS/EventBridge/Pipes": (
        {"Invocations", "ExecutionFailed", "ExecutionTimeout", "ExecutionThrottled"},
        ("PipeName",),
        "AWS::Pipes::Pipe",
    ),
    "AWS/Firehose": (
        {
            "DeliveryToS3.DataFreshness",
            "DeliveryToS3.Success",
            "ExecuteProcessing.Success",
            "FailedConversion.Records",
            "PartitionCountExceeded",
        },
        ("DeliveryStreamName",),
        "AWS::KinesisFirehose::DeliveryStream",
    ),
    "AWS/AutoScaling": (
        {"GroupInServiceInstances"},
        ("AutoScalingGroupName",),
        "AWS::AutoScaling::AutoScalingGroup",
    ),
    "AWS/Events": (
        {
            "PutEventsEntriesCount",
            "PutEventsFailedEntriesCount",
            "PutEventsApproximateThrottledCount",
            "ThrottledRules",
        },
        (),
        "",
    ),
}


@dataclass(frozen=True)
class Metric:
    """One metric, by which CloudWatch keeps its values apart."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def sent_by(folder: Path) -> set[str]:
    """Names of the metrics that the code below a folder sends in the hub's namespace."""
    return {
        keyword.arg
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SENDING
        for keyword in node.keywords
        if keyword.arg is not None
    }


def metrics_of_alarm(alarm: Mapping[str, Any]) -> list[Metric]:
    """What an alarm looks at, metric math included."""
    if "Metrics" not in alarm:
        return [_metric(alarm)]
    return [_metric(one["MetricStat"]["Metric"]) for one in alarm["Metrics"] if "MetricStat" in one]


def _metric(written: Mapping[str, Any]) -> Metric:
    dimensions = tuple((one["Name"], text(one["Value"])) for one in written.get("Dimensions", []))
    return Metric(written["Namespace"], written["MetricName"], dimensions)


def dashboard_body(expanded: Expanded, name: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """The body of a dashboard as JSON; `variables` are put in where it names them, other references stay."""
    body_of = expanded.properties(name)["DashboardBody"]["Fn::Sub"]
    written, own = body_of if isinstance(body_of, list) else (body_of, {})
    missing = own.keys() - variables.keys()
    if missing:
        raise KeyError(f"no value for {sorted(missing)}")
    body: dict[str, Any] = json.loads(_REFERENCE.sub(lambda one: variables.get(one[1], one[0]), written))
    return body


def metrics_of_dashboard(body: Mapping[str, Any]) -> list[Metric]:
    """Every metric that a dashboard draws."""
    return [
        metric
        for widget in body["widgets"]
        if widget["type"] == "metric"
        for metric in _metrics_of_widget(widget["properties"]["metrics"])
    ]


def _metrics_of_widget(rows: Sequence[Sequence[Any]]) -> Iterator[Metric]:
    """«.» stands for the field of the row before, «...» for all of its fields up to those that follow."""
    before: list[str] = []
    for row in rows:
        fields = [field for field in row if not isinstance(field, Mapping)]
        if fields[0] == "...":
            kept = len(before) - len(fields) + 1
            fields = [*before[:kept], *fields[1:]]
        fields = [before[at] if field == "." else field for at, field in enumerate(fields)]
        before = fields
        yield Metric(fields[0], fields[1], tuple(zip(fields[2::2], fields[3::2], strict=True)))


def nobody_sends(metric: Metric, expanded: Expanded, own: set[str]) -> str | None:
    """Why no value ever comes for a metric, or None if one does."""
    names = tuple(name for name, _ in metric.dimensions)
    if metric.namespace == HUB:
        if metric.name not in own:
            return f"no function sends {metric.name}"
        return (
            None if metric.dimensions == (("service", STACK),) else f"{metric.name} is not sent under {names}"
        )
    known, dimensions, kind = SERVICES[metric.namespace]
    if metric.name not in known or names != dimensions:
        return f"{metric.namespace} has no {metric.name} under {names}"
    for _, value in metric.dimensions:
        (resource,) = re.findall(r"^\$\{(\w+)(?:\.\w+)?\}$", value)
        if resource not in expanded.of_type(kind):
            return f"{resource} is no {kind}"
    return None
