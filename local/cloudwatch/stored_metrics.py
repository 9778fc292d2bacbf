"""The metrics that ministack keeps, read and written as alarms and services need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from local.account.ministack_names import ministack
from local.cloudwatch.alarm_evaluation import Window
from local.cloudwatch.embedded_metrics import Measured, measured_in
from local.cloudwatch.metric_math import Value

Append = Callable[[dict[str, Any], list[dict[str, Any]]], None]


def put(measured: Measured) -> None:
    """Keep the values for the account and region of the current request."""
    ministack("ministack.services.cloudwatch")._store_datum(
        measured.namespace,
        measured.name,
        dict(measured.dimensions),
        measured.time,
        measured.unit,
        None,
        list(measured.values),
        None,
        None,
    )


def value_of(metric: Mapping[str, Any], statistic: str, unit: str | None, window: Window) -> Value:
    """The metric's statistic in the window. Its dimensions are exactly those it was put with, as on AWS."""
    cloudwatch = ministack("ministack.services.cloudwatch")
    dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(metric.get("Dimensions") or []))
    kept = cloudwatch._metrics.get((metric["Namespace"], metric["MetricName"], dimensions)) or []
    points = [
        point
        for point in list(kept)
        if window.start < point["Timestamp"] <= window.end and unit in (None, point["Unit"])
    ]
    if not points:
        return None
    value: Value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points)
    return value


def with_embedded_metrics(append: Append) -> Append:
    """ministack's function that adds events to a log stream, which now puts the metrics in them as well."""

    def append_log_events(stream: dict[str, Any], events: Iterable[dict[str, Any]]) -> None:
        kept = list(events)
        append(stream, kept)
        for event in kept:
            for measured in measured_in(str(event["message"])):
                put(measured)

    return append_log_events
