"""Evaluates the account's alarms over its metrics, and lets their actions be taken.

As on AWS an alarm is evaluated over periods that end with the moment of evaluation, not with the full minute
or hour, so that one data point is enough for an alarm whose period has hardly begun.
AWS documentation: Amazon CloudWatch User Guide, «Alarm evaluation», «Using metric math»; API reference,
PutMetricAlarm.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.cloudwatch.alarm_states import Rule, state_of
from local.cloudwatch.metric_math import Value, evaluate

Record = dict[str, Any]
"""An alarm as ministack keeps it: the members of PutMetricAlarm and its state."""


@dataclass(frozen=True)
class Window:
    """One period: after `start`, up to and including `end`, in epoch seconds."""

    start: float
    end: float


ValueOf = Callable[[Mapping[str, Any], str, str | None, Window], Value]
"""The value of a metric (namespace, name, dimensions) by statistic and unit in a window, or None."""


def data_points(alarm: Record, now: float, value_of: ValueOf) -> list[Value]:
    """The values of the alarm's evaluation range, the latest last. Raises UnknownExpression."""
    period = period_of(alarm)
    return [
        _value_in(alarm, Window(now - (back + 1) * period, now - back * period), value_of)
        for back in reversed(range(rule_of(alarm).retrieved))
    ]


def rule_of(alarm: Record) -> Rule:
    """When the alarm goes off."""
    periods = int(alarm["EvaluationPeriods"])
    return Rule(
        comparison=alarm["ComparisonOperator"],
        threshold=float(alarm["Threshold"]),
        periods=periods,
        to_alarm=int(alarm.get("DatapointsToAlarm") or periods),
        missing=alarm.get("TreatMissingData") or "missing",
    )


def period_of(alarm: Record) -> int:
    """Seconds of one period; metric math takes those of its metrics, which have one in common."""
    periods = [int(one["MetricStat"]["Period"]) for one in alarm.get("Metrics") or () if "MetricStat" in one]
    return max(periods) if periods else int(alarm["Period"])


def _value_in(alarm: Record, window: Window, value_of: ValueOf) -> Value:
    if not alarm.get("Metrics"):
        statistic = alarm.get("ExtendedStatistic") or alarm["Statistic"]
        return value_of(alarm, statistic, alarm.get("Unit"), window)
    values = {
        one["Id"]: value_of(
            one["MetricStat"]["Metric"], one["MetricStat"]["Stat"], one["MetricStat"].get("Unit"), window
        )
        for one in alarm["Metrics"]
        if "MetricStat" in one
    }
    returned = [one for one in alarm["Metrics"] if returns_data(one)]
    (result,) = returned
    return evaluate(result["Expression"], values) if "Expression" in result else values[result["Id"]]


def returns_data(query: Mapping[str, Any]) -> bool:
    """Whether the alarm looks at this one of its metrics and expressions."""
    return str(query.get("ReturnData", True)).lower() != "false"


@dataclass
class Alarms:
    """The alarms of one account and region, evaluated one after another.

    `announce` is called with an alarm that has a new state, the old state and the reason.
    """

    records: Callable[[], Iterable[Record]]
    value_of: ValueOf
    announce: Callable[[Record, str, str], None]

    def __post_init__(self) -> None:
        self._lock = threading.RLock()

    def evaluate_all(self, now: float) -> list[Record]:
        """Evaluate every metric alarm as of `now`; returns them."""
        alarms = list(self.records())
        for alarm in alarms:
            self.evaluate(alarm, now)
        return alarms

    def evaluate(self, alarm: Record, now: float) -> None:
        """Evaluate one alarm as of `now` and announce a change."""
        if not alarm.get("Metrics") and not alarm.get("MetricName"):
            return
        with self._lock:
            points = data_points(alarm, now, self.value_of)
            old, new = alarm["StateValue"], state_of(rule_of(alarm), points, alarm["StateValue"])
            if old == new:
                return
            alarm["StateValue"] = new
            alarm["StateReason"] = reason = _reason(alarm, points)
            alarm["StateReasonData"] = json.dumps({"version": "1.0", "recentDatapoints": points})
            alarm["StateUpdatedTimestamp"] = int(now)
            self.announce(alarm, old, reason)


def _reason(alarm: Record, points: list[Value]) -> str:
    there = [point for point in points if point is not None]
    if not there:
        missing = alarm.get("TreatMissingData") or "missing"
        return f"No data points were received; missing data is treated as {missing}."
    shown = ", ".join(str(point) for point in there)
    return f"Data points {shown} against {alarm['ComparisonOperator']} {alarm['Threshold']}."
