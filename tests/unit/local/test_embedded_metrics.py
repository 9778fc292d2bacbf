"""Metrics in log lines, by «Specification: Embedded metric format»."""

import json
from typing import Any

import pytest

from local.cloudwatch.embedded_metrics import Measured, measured_in


def line(**changes: Any) -> str:
    directive = {
        "Namespace": "Hub",
        "Dimensions": [["service"], ["service", "function"]],
        "Metrics": [{"Name": "Published", "Unit": "Count"}, {"Name": "Age"}],
    }
    document = {
        "_aws": {"Timestamp": 1_790_000_000_500, "CloudWatchMetrics": [directive]},
        "service": "hub",
        "function": "range",
        "Published": [1, 2.5],
        "Age": 7,
    }
    return json.dumps({**document, **changes})


def test_each_metric_is_measured_under_each_set_of_dimensions() -> None:
    at = 1_790_000_000.5
    both = {"service": "hub", "function": "range"}

    assert measured_in(line()) == [
        Measured("Hub", "Published", "Count", {"service": "hub"}, (1.0, 2.5), at),
        Measured("Hub", "Age", "None", {"service": "hub"}, (7.0,), at),
        Measured("Hub", "Published", "Count", both, (1.0, 2.5), at),
        Measured("Hub", "Age", "None", both, (7.0,), at),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "START RequestId: 1",
        '{"level": "INFO", "message": "started"}',
        line()[:-1],
        line(Age="seven"),
        line(Published=[1] * 101),
        line(Published=[]),
        '{"CloudWatchMetrics": []}',
        '["CloudWatchMetrics"]',
    ],
)
def test_a_line_of_another_kind_or_against_the_specification_measures_nothing(text: str) -> None:
    assert measured_in(text) == []


def test_a_dimension_that_the_line_does_not_have_measures_nothing() -> None:
    document = json.loads(line())
    del document["service"]

    assert measured_in(json.dumps(document)) == []
