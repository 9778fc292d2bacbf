"""Alarm states: the examples of AWS's page «Configuring how CloudWatch alarms treat missing data»."""

from itertools import pairwise

import pytest

from local.cloudwatch.alarm_evaluation import Alarms, Record, Window, data_points
from local.cloudwatch.alarm_states import ALARM, INSUFFICIENT_DATA, OK, Rule, state_of
from local.cloudwatch.metric_math import UnknownExpression, evaluate

CURRENT = "the current one"
POINTS = {"0": 0.0, "X": 2.0, "-": None}

# Data points, then the state with missing, ignore, breaching and notBreaching.
THREE_OF_THREE = [
    ("0 - X - X", OK, OK, OK, OK),
    ("0 - - - -", OK, OK, OK, OK),
    ("- - - - -", INSUFFICIENT_DATA, CURRENT, ALARM, OK),
    ("0 X X - X", ALARM, ALARM, ALARM, ALARM),
    ("- - X - -", ALARM, CURRENT, ALARM, OK),
]
TWO_OF_THREE = [
    ("0 - X - X", ALARM, ALARM, ALARM, ALARM),
    ("0 0 X 0 X", ALARM, ALARM, ALARM, ALARM),
    ("0 - X - -", OK, OK, ALARM, OK),
    ("- - - - 0", OK, OK, ALARM, OK),
    ("- - - X -", ALARM, CURRENT, ALARM, OK),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
CASES = [
    (to_alarm, treatment, row[0], expected)
    for to_alarm, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
    for row in table
    for treatment, expected in zip(TREATMENTS, row[1:], strict=True)
]


@pytest.mark.parametrize(("to_alarm", "treatment", "points", "expected"), CASES)
def test_missing_data_is_treated_as_in_the_examples_of_aws(
    to_alarm: int, treatment: str, points: str, expected: str
) -> None:
    rule = Rule("GreaterThanThreshold", 1.0, 3, to_alarm, treatment)

    assert state_of(rule, [POINTS[point] for point in points.split()], CURRENT) == expected


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", {3.0}),
        ("GreaterThanOrEqualToThreshold", {2.0, 3.0}),
        ("LessThanThreshold", {1.0}),
        ("LessThanOrEqualToThreshold", {1.0, 2.0}),
    ],
)
def test_each_comparison_breaches_on_its_side_of_the_threshold(
    comparison: str, breaching: set[float]
) -> None:
    rule = Rule(comparison, 2.0, 1, 1, "missing")

    assert {value for value in (1.0, 2.0, 3.0) if rule.breaches(value)} == breaching


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("a + b", 3.0),
        ("a + c", None),
        ("SUM([a, b, c])", 3.0),
        ("SUM([c])", None),
        ("SUM(METRICS())", 3.0),
        ("MAX(METRICS()) * 10", 20.0),
        ("FILL(c, 7) - a", 6.0),
        ("a / (b - 2)", None),
        ("IF(FILL(b, 0) > 0 AND FILL(c, 0) == 0, 1, 0)", 1.0),
        ("IF(FILL(b, 0) > 0 AND FILL(a, 0) == 0, 1, 0)", 0.0),
        ("IF(a > 1 OR b >= 2, b, a)", 2.0),
        ("c > 0", None),
        ("IF(c > 0, 1, 0)", None),
        ("CEIL(a / b)", 1.0),
        ("FLOOR(a / b) - ABS(a - b)", -1.0),
        ("CEIL(c / b)", None),
    ],
)
def test_metric_math_leaves_missing_values_out_of_sums_and_keeps_them_in_arithmetic(
    expression: str, value: float | None
) -> None:
    assert evaluate(expression, {"a": 1.0, "b": 2.0, "c": None}) == value


@pytest.mark.parametrize(
    "expression", ["ANOMALY_DETECTION_BAND(a)", "a +", "missing", "a if b else c", "IF(a, b)"]
)
def test_metric_math_that_is_not_known_is_refused_by_name(expression: str) -> None:
    with pytest.raises(UnknownExpression, match="does not know the metric math"):
        evaluate(expression, {"a": 1.0, "b": 2.0})


def an_alarm(**changes: object) -> Record:
    alarm: Record = {
        "AlarmName": "stale",
        "Namespace": "Hub",
        "MetricName": "Age",
        "Dimensions": [],
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 2,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "StateValue": INSUFFICIENT_DATA,
    }
    return {**alarm, **changes}


def test_the_evaluation_range_ends_with_the_moment_of_evaluation_and_has_no_gap() -> None:
    seen: list[Window] = []

    data_points(an_alarm(), 1000.0, lambda _metric, _statistic, _unit, window: seen.append(window))

    assert (seen[0].start, seen[-1].end) == (1000.0 - 4 * 60, 1000.0)
    assert all(one.end == following.start for one, following in pairwise(seen))


def test_a_change_of_state_is_announced_once_with_the_state_it_was_in() -> None:
    alarm, announced = an_alarm(), []
    alarms = Alarms(
        lambda: [alarm],
        lambda *_: 2.0,
        lambda changed, old, _reason: announced.append((old, changed["StateValue"])),
    )

    alarms.evaluate_all(1000.0)
    alarms.evaluate_all(1060.0)

    assert announced == [(INSUFFICIENT_DATA, ALARM)]


@pytest.mark.parametrize(("fill", "state"), [("age", OK), ("FILL(age, 999)", ALARM)])
def test_silence_that_is_filled_in_tells_at_once_where_missing_data_goes_by_older_points(
    fill: str, state: str
) -> None:
    age = {
        "Id": "age",
        "ReturnData": False,
        "MetricStat": {"Metric": {}, "Period": 60, "Stat": "Maximum"},
    }
    alarm = an_alarm(
        Metrics=[{"Id": "stale", "Expression": fill}, age], TreatMissingData="breaching", EvaluationPeriods=1
    )
    alarms = Alarms(
        lambda: [alarm],
        lambda _metric, _statistic, _unit, window: 0.0 if window.end <= 900.0 else None,
        lambda *_: None,
    )

    alarms.evaluate_all(1000.0)

    assert alarm["StateValue"] == state
