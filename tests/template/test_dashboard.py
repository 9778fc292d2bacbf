"""The dashboards are valid in every configuration, draw only what is there, and have every alarm on them."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from hub_worker.metrics import UNITS as WORKER_METRICS
from local.testing.metric_reader import (
    dashboard_body,
    metrics_of_alarm,
    metrics_of_dashboard,
    nobody_sends,
    sent_by,
)
from local.testing.template_reader import Expanded, references

GRID = 24


@pytest.fixture(params=['"${WatermarkStaleAlarm.Arn}",', ""], ids=["scheduled", "by hand"])
def body(request: pytest.FixtureRequest, expanded: Expanded) -> dict[str, Any]:
    """The dashboard with and without the alarm that only a schedule has."""
    return dashboard_body(expanded, "Dashboard", {"StaleAlarm": request.param, "StaleAfterSeconds": "3600"})


@pytest.fixture
def workers_body(expanded: Expanded) -> dict[str, Any]:
    """The dashboard that there is where there are workers."""
    return dashboard_body(expanded, "WorkersDashboard", {})


@pytest.fixture
def consumers_body(expanded: Expanded) -> dict[str, Any]:
    """The dashboard of what takes changes of records from the bus."""
    return dashboard_body(expanded, "RecordConsumersDashboard", {})


@pytest.fixture
def uploads_body(expanded: Expanded) -> dict[str, Any]:
    """The dashboard of uploads and transitions."""
    return dashboard_body(expanded, "UploadsDashboard", {})


def test_both_outcomes_of_the_condition_are_those_that_the_tests_put_in(expanded: Expanded) -> None:
    _, variables = expanded.properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    condition, scheduled, by_hand = variables["StaleAlarm"]["Fn::If"]
    assert (condition, scheduled, by_hand) == (
        "ScheduleEnabled",
        {"Fn::Sub": '"${WatermarkStaleAlarm.Arn}",'},
        "",
    )


def test_every_metric_that_is_drawn_is_sent(
    body: dict[str, Any],
    workers_body: dict[str, Any],
    consumers_body: dict[str, Any],
    uploads_body: dict[str, Any],
    expanded: Expanded,
    root: Path,
) -> None:
    own = sent_by(root / "functions") | set(WORKER_METRICS)
    bodies = (body, workers_body, consumers_body, uploads_body)
    drawn = [metric for one in bodies for metric in metrics_of_dashboard(one)]
    assert [fault for metric in drawn if (fault := nobody_sends(metric, expanded, own))] == []


def test_every_metric_of_the_functions_and_of_an_alarm_is_drawn(
    body: dict[str, Any],
    workers_body: dict[str, Any],
    consumers_body: dict[str, Any],
    uploads_body: dict[str, Any],
    expanded: Expanded,
    root: Path,
) -> None:
    bodies = (body, workers_body, consumers_body, uploads_body)
    drawn = {metric for one in bodies for metric in metrics_of_dashboard(one)}
    watched = {
        metric
        for alarm in expanded.of_type("AWS::CloudWatch::Alarm").values()
        for metric in metrics_of_alarm(alarm)
    }
    assert [f"{one.name} of {one.dimensions} is not drawn" for one in watched - drawn] == []
    assert sent_by(root / "functions") | set(WORKER_METRICS) <= {metric.name for metric in drawn}


def test_every_alarm_is_on_it(expanded: Expanded) -> None:
    shown = references(list(expanded.of_type("AWS::CloudWatch::Dashboard").values()))
    assert [
        f"{name} is not on the dashboard"
        for name in expanded.of_type("AWS::CloudWatch::Alarm").keys() - shown
    ] == []


@pytest.mark.parametrize("dashboard", ["body", "workers_body", "consumers_body", "uploads_body"])
def test_no_widget_lies_on_another_or_beyond_the_grid(
    dashboard: str,
    body: dict[str, Any],
    workers_body: dict[str, Any],
    consumers_body: dict[str, Any],
    uploads_body: dict[str, Any],
) -> None:
    bodies = {
        "body": body,
        "workers_body": workers_body,
        "consumers_body": consumers_body,
        "uploads_body": uploads_body,
    }
    widgets = bodies[dashboard]["widgets"]
    areas = [(one["x"], one["y"], one["width"], one["height"]) for one in widgets]
    assert all(x + width <= GRID for x, _, width, _ in areas)
    assert [pair for pair in combinations(areas, 2) if _overlap(*pair)] == []


def _overlap(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )
