"""Every alarm of the deployed stack goes off when its metric says so, tells the topic, and is over.

What causes them is tested where it happens (test_alarms.py for exports and redrives). Here each metric is
put by hand, days ahead of everything that other tests do, so that no traffic of theirs speaks against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from local.account.clients import client
from local.cloudwatch.testing import Topic, evaluate_alarms, listening_to

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

DAY = 86_400
AHEAD = 3 * DAY


@dataclass(frozen=True)
class Alarmed:
    """The alarms of the stack by name, their states while each had its cause and a day later, and what was
    told."""

    alarms: Mapping[str, Mapping[str, Any]]
    states: Mapping[str, str]
    a_day_later: Mapping[str, str]
    topic: Topic


@pytest.fixture(scope="module")
def alarmed(hub: Hub) -> Iterator[Alarmed]:
    cloudwatch = client(hub.account, "cloudwatch")
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{hub.stack_name}-")
    alarms = {
        alarm["AlarmName"]: alarm
        for page in pages
        for alarm in page["MetricAlarms"]
        # One that silence sets off is never over days ahead; test_alarms.py has it.
        if alarm["TreatMissingData"] == "notBreaching"
    }
    with listening_to(hub.account, hub.outputs["AlarmTopicArn"]) as topic:
        evaluate_alarms(hub.account, after_seconds=AHEAD - DAY)
        at = datetime.now(UTC) + timedelta(seconds=AHEAD)
        for alarm in alarms.values():
            put_cause(cloudwatch, alarm, at)
        states = evaluate_alarms(hub.account, after_seconds=AHEAD)
        later = evaluate_alarms(hub.account, after_seconds=AHEAD + DAY)
        yield Alarmed(alarms, states, later, topic)
    # Back in the present, for whoever evaluates next.
    evaluate_alarms(hub.account)


def put_cause(cloudwatch: Any, alarm: Mapping[str, Any], until: datetime) -> None:
    """Put values of the alarm's metric, or the first of several, that break its threshold for as long as it
    asks."""
    first = (
        next(one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one)
        if alarm.get("Metrics")
        else None
    )
    metric, period = (first["Metric"], first["Period"]) if first else (alarm, alarm["Period"])
    below = alarm["ComparisonOperator"].startswith("Less")
    value = alarm["Threshold"] - 1 if below else alarm["Threshold"] + 1
    cloudwatch.put_metric_data(
        Namespace=metric["Namespace"],
        MetricData=[
            {
                "MetricName": metric["MetricName"],
                "Dimensions": metric.get("Dimensions", []),
                "Timestamp": until - timedelta(seconds=ago),
                "Value": value,
            }
            for ago in range(0, alarm["EvaluationPeriods"] * period, 30)
        ],
    )


def test_every_alarm_goes_off_and_is_over(alarmed: Alarmed) -> None:
    assert len(alarmed.alarms) > 50
    silent = [name for name in alarmed.alarms if alarmed.states[name] != "ALARM"]
    lasting = [name for name in alarmed.alarms if alarmed.a_day_later[name] != "OK"]
    assert (silent, lasting) == ([], [])


def test_every_alarm_is_told_at_the_topic_with_where_to_read_on(hub: Hub, alarmed: Alarmed) -> None:
    for name in alarmed.alarms:
        told = alarmed.topic.says(name, "ALARM")
        assert f"docs/runbook.md#{name.removeprefix(f'{hub.stack_name}-')}" in told["AlarmDescription"]
        alarmed.topic.says(name, "OK")
