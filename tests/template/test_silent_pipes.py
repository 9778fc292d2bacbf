"""A pipe that reads nothing is found by what is written, however seldom that is, and one that reads is not.

AWS documentation: Amazon CloudWatch User Guide, «Using metric math» and «Alarm evaluation window»: an alarm
is evaluated every minute, over periods that end with it.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from local.cloudwatch.alarm_evaluation import Window, data_points, rule_of
from local.cloudwatch.alarm_states import ALARM, OK, state_of
from local.cloudwatch.metric_math import Value
from local.testing.template_reader import Expanded

ALARMS = ("RecordsPipeSilentAlarm", "LakeRowsPipeSilentAlarm")
MINUTE, HOUR = 60, 3600
UNTIL = 12 * HOUR


def states(alarm: Mapping[str, Any], writes: Sequence[float], reads: Sequence[float]) -> list[str]:
    """The alarm's states, minute by minute, with one unit of capacity or one execution at each time."""
    at = {"ConsumedWriteCapacityUnits": writes, "Invocations": reads}

    def value_of(metric: Mapping[str, Any], _stat: str, _unit: str | None, window: Window) -> Value:
        times = at[metric["MetricName"]]
        return float(bisect_right(times, window.end) - bisect_right(times, window.start)) or None

    record, state, seen = dict(alarm), OK, []
    for now in range(0, UNTIL, MINUTE):
        state = state_of(rule_of(record), data_points(record, now, value_of), state)
        seen.append(state)
    return seen


@pytest.fixture(params=ALARMS)
def alarm(request: pytest.FixtureRequest, expanded: Expanded) -> Mapping[str, Any]:
    found: Mapping[str, Any] = expanded.properties(request.param)
    return found


@pytest.mark.parametrize("every", [5, 10 * MINUTE, 59 * MINUTE])
def test_a_stopped_pipe_is_found_within_three_hours_on_a_table_that_is_written_every(
    alarm: Mapping[str, Any], every: int
) -> None:
    stopped_at = 4 * HOUR
    writes = range(1, UNTIL, every)
    told = states(alarm, writes, [one + 3 for one in writes if one < stopped_at])
    assert ALARM not in told[: stopped_at // MINUTE]
    assert set(told[stopped_at // MINUTE + 180 :]) == {ALARM}


@pytest.mark.parametrize("every", [5, 10 * MINUTE, 59 * MINUTE, 97 * MINUTE, 5 * HOUR])
def test_a_pipe_that_reads_a_moment_later_is_never_taken_for_a_stopped_one(
    alarm: Mapping[str, Any], every: int
) -> None:
    writes = range(55, UNTIL, every)
    assert set(states(alarm, writes, [one + 3 * MINUTE for one in writes])) == {OK}


def test_a_table_that_nobody_writes_is_no_alarm(alarm: Mapping[str, Any]) -> None:
    assert set(states(alarm, [], [])) == {OK}


def test_writes_that_change_nothing_are_an_alarm_and_its_text_says_so(alarm: Mapping[str, Any]) -> None:
    assert ALARM in states(alarm, range(1, UNTIL, 10 * MINUTE), [])
    assert "uses capacity and makes no record" in alarm["AlarmDescription"]


def test_periods_that_are_shorter_than_the_time_between_two_writes_would_miss_a_stopped_pipe(
    alarm: Mapping[str, Any],
) -> None:
    short: dict[str, Any] = {**copy.deepcopy(dict(alarm)), "EvaluationPeriods": 6}
    for one in short["Metrics"]:
        if "MetricStat" in one:
            one["MetricStat"]["Period"] = 300
    assert set(states(short, range(1, UNTIL, 10 * MINUTE), [])) == {OK}


def test_one_period_alone_would_take_a_late_data_point_for_a_stopped_pipe(alarm: Mapping[str, Any]) -> None:
    writes = range(55, UNTIL, 97 * MINUTE)
    assert ALARM in states({**alarm, "EvaluationPeriods": 1}, writes, [one + 3 * MINUTE for one in writes])
