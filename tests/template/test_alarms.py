"""Every alarm looks at a metric that somebody sends, tells the topic, and says what to do."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hub_worker.metrics import UNITS as WORKER_METRICS
from local.testing.metric_reader import STACK, metrics_of_alarm, nobody_sends, sent_by
from local.testing.template_reader import Expanded, references, statements, text

MOST_METRICS = 10


def findings(expanded: Expanded, own: set[str]) -> list[str]:
    """What is wrong with the alarms, one line each."""
    for_everyone = (_deaf, _badly_timed, _overloaded)
    for_people = (*for_everyone, _mute, _without_words)
    alarms = expanded.of_type("AWS::CloudWatch::Alarm")
    told = telling(expanded)
    found = [
        fault
        for name, alarm in alarms.items()
        for rule in (for_people if name in told else for_everyone)
        for fault in rule(name, alarm, expanded, own)
    ]
    return found + list(_unwatched(expanded))


def telling(expanded: Expanded) -> Mapping[str, Mapping[str, Any]]:
    """The alarms that are for people: all but those that do nothing else than scale."""
    policies = expanded.of_type("AWS::AutoScaling::ScalingPolicy").keys()
    return {
        name: alarm
        for name, alarm in expanded.of_type("AWS::CloudWatch::Alarm").items()
        if not references(alarm.get("AlarmActions", [])) or not references(alarm["AlarmActions"]) <= policies
    }


def _deaf(name: str, alarm: Mapping[str, Any], expanded: Expanded, own: set[str]) -> Iterator[str]:
    for metric in metrics_of_alarm(alarm):
        fault = nobody_sends(metric, expanded, own)
        if fault:
            yield f"{name}: {fault}"


def _mute(name: str, alarm: Mapping[str, Any], *_: object) -> Iterator[str]:
    for actions in ("AlarmActions", "OKActions"):
        if [text(one) for one in alarm.get(actions, [])] != ["${AlarmTopic}"]:
            yield f"{name} does not tell the topic by {actions}"


def _without_words(name: str, alarm: Mapping[str, Any], *_: object) -> Iterator[str]:
    suffix = text(alarm["AlarmName"]).removeprefix(f"{STACK}-")
    description = alarm.get("AlarmDescription", "")
    sentences = re.split(r"(?<=\.) ", description)
    if sentences[-1] != f"docs/runbook.md#{suffix}":
        yield f"{name} does not name its section of the runbook"
    if len(sentences) < 3 or len(description) > 1024:
        yield f"{name} does not say what has happened and what to do"


def _badly_timed(name: str, alarm: Mapping[str, Any], *_: object) -> Iterator[str]:
    if alarm.get("TreatMissingData") not in ("breaching", "notBreaching"):
        yield f"{name} leaves open what silence means"
    periods = [one["MetricStat"]["Period"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
    for period in periods or [alarm.get("Period")]:
        if isinstance(period, int) and (period % 60 or period * alarm["EvaluationPeriods"] > 86_400):
            yield f"{name} has a period that CloudWatch refuses"


def _overloaded(name: str, alarm: Mapping[str, Any], *_: object) -> Iterator[str]:
    """Amazon CloudWatch User Guide, «Limits that apply to alarms based on metric math expressions»."""
    if len(metrics_of_alarm(alarm)) > MOST_METRICS:
        yield f"{name} adds up more metrics than CloudWatch takes"


def _unwatched(expanded: Expanded) -> Iterator[str]:
    """Queues that take failures without an alarm of their own, and functions that may be throttled unseen."""
    watched = [
        resource
        for alarm in expanded.of_type("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
        for resource in references(alarm["Dimensions"])
    ]
    for name, queue in expanded.of_type("AWS::SQS::Queue").items():
        tagged = any(tag["Key"] == "redrive-kind" for tag in queue.get("Tags", []))
        if watched.count(name) != tagged:
            yield f"{name} has {watched.count(name)} alarms"
    throttled = {
        resource
        for alarm in expanded.of_type("AWS::CloudWatch::Alarm").values()
        if {metric.name for metric in metrics_of_alarm(alarm)} == {"Throttles"}
        for resource in references(alarm)
    }
    for name in expanded.of_type("AWS::Lambda::Function").keys() - throttled:
        yield f"{name} may be throttled unseen"


@pytest.fixture(scope="session")
def own(root: Path) -> set[str]:
    """The metrics that the functions and the workers send."""
    return sent_by(root / "functions") | set(WORKER_METRICS)


def test_every_alarm_hears_something_tells_it_and_says_what_to_do(expanded: Expanded, own: set[str]) -> None:
    assert findings(expanded, own) == []


def test_the_metrics_of_the_functions_are_found_in_their_source(own: set[str]) -> None:
    assert {"WatermarkAgeSeconds", "ExportsCompleted", "HealthLakeBusy", "ExportsPaused"} <= own


def test_metrics_of_two_stacks_are_kept_apart(template: dict[str, Any]) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert text(variables["POWERTOOLS_SERVICE_NAME"]) == STACK


@pytest.mark.parametrize("alarm_name", ["ExportFailedAlarm", "RedriveFailedAlarm"])
def test_every_ending_that_is_no_success_sets_off_the_alarm_on_failed_executions(
    expanded: Expanded, alarm_name: str
) -> None:
    alarm = expanded.properties(alarm_name)
    assert {metric.name for metric in metrics_of_alarm(alarm)} == {
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
    }


def test_a_watermark_is_stale_only_where_runs_are_scheduled(expanded: Expanded) -> None:
    assert expanded.resources["WatermarkStaleAlarm"]["Condition"] == "ScheduleEnabled"


def test_silence_about_the_watermark_is_an_alarm_and_any_age_past_the_bound_too(expanded: Expanded) -> None:
    alarm = expanded.properties("WatermarkStaleAlarm")
    filled, age = alarm["Metrics"]
    assert (filled["Expression"], alarm["TreatMissingData"]) == ("FILL(age, 999999999)", "breaching")
    assert (age["Id"], age["MetricStat"]["Stat"]) == ("age", "Maximum")
    assert text(age["MetricStat"]["Period"]) == text(alarm["Threshold"]) == "${StaleAfterSeconds}"


def test_every_bound_on_the_watermarks_age_is_a_period_that_cloudwatch_takes(
    template: dict[str, Any],
) -> None:
    """Seven days in all, and one for periods of less than an hour (PutMetricAlarm, «Period»)."""
    for seconds in template["Parameters"]["StaleAfterSeconds"]["AllowedValues"]:
        assert seconds % 60 == 0
        assert seconds <= (86_400 if seconds < 3_600 else 604_800)


def test_a_schedule_of_once_a_day_has_a_bound_that_it_keeps(template: dict[str, Any]) -> None:
    """At each start the watermark is as old as the time between two runs; a bound of a day would be broken
    every other day."""
    assert max(template["Parameters"]["StaleAfterSeconds"]["AllowedValues"]) > 86_400 + 3_600


def test_only_alarms_of_the_stack_may_publish_to_the_topic(expanded: Expanded) -> None:
    policy = expanded.properties("AlarmTopicPolicy")["PolicyDocument"]
    (allowed,) = [one for one in statements(policy) if one.effect == "Allow"]
    assert (allowed.services, allowed.actions) == (("cloudwatch.amazonaws.com",), ("sns:Publish",))
    assert allowed.conditions["ArnLike"]["aws:SourceArn"].endswith(f":alarm:{STACK}-*")
    names = [text(one["AlarmName"]) for one in expanded.of_type("AWS::CloudWatch::Alarm").values()]
    assert all(name.startswith(f"{STACK}-") for name in names)


def test_an_address_is_subscribed_only_when_one_is_given(template: dict[str, Any]) -> None:
    assert template["Resources"]["AlarmEmailSubscription"]["Condition"] == "AlarmEmailGiven"
    pattern = template["Parameters"]["AlarmEmail"]["AllowedPattern"]
    assert re.fullmatch(pattern, "on-call@example.com")
    assert not re.fullmatch(pattern, "on-call")


def test_every_alarm_has_its_section_of_the_runbook_and_every_section_its_alarm(
    expanded: Expanded, root: Path
) -> None:
    assert untold(expanded, (root / "docs" / "runbook.md").read_text(encoding="utf-8")) == []


def untold(expanded: Expanded, runbook: str) -> list[str]:
    """Where the runbook and the alarms are not about the same, one line each."""
    alarms = telling(expanded).values()
    names = Counter(text(one["AlarmName"]).removeprefix(f"{STACK}-") for one in alarms)
    sections = Counter(re.findall(r"^### ([a-z-]+)$", runbook, re.MULTILINE))
    urgency = runbook.partition("## How bad is it?")[2].partition("## Alarms")[0]
    _, *rows = re.findall(r"^\|[^|\n]*\| ([a-z, -]+[a-z]) \|", urgency, re.MULTILINE)
    urgent = Counter(alarm for row in rows for alarm in row.split(", "))
    return [
        *(f"{name} has no section of the runbook" for name in names - sections),
        *(f"{name} is not under «How bad is it?» in the runbook" for name in names - urgent),
        *(f"the runbook tells more of {name} than there is" for name in (sections | urgent) - names),
    ]


def test_an_alarm_that_the_runbook_does_not_tell_of_is_found(expanded: Expanded, root: Path) -> None:
    runbook = (root / "docs" / "runbook.md").read_text(encoding="utf-8")
    name = "clean-up-dead-letters"
    without = {key: one for key, one in expanded.resources.items() if key != "CleanUpDeadLettersAlarm"}
    unplaced = f"{name} is not under «How bad is it?» in the runbook"

    assert f"{name} has no section of the runbook" in untold(expanded, runbook.replace(f"### {name}\n", ""))
    assert unplaced in untold(expanded, runbook.replace(f" {name},", "", 1))
    assert f"the runbook tells more of {name} than there is" in untold(Expanded(without), runbook)


def _change(resource: str, field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(resources: dict[str, Any]) -> None:
        resources[resource]["Properties"][field] = value

    return apply


def _without(resource: str) -> Callable[[dict[str, Any]], None]:
    return lambda resources: resources.pop(resource) and None


OTHER_DIMENSION = [{"Name": "Service", "Value": {"Ref": "AWS::StackName"}}]
A_METRIC = {
    "MetricStat": {"Period": 300, "Metric": {"Namespace": "AWS/Events", "MetricName": "ThrottledRules"}}
}
A_TOPIC = [{"Name": "QueueName", "Value": {"Ref": "AlarmTopic"}}]


@pytest.mark.parametrize(
    ("breaking", "finding"),
    [
        (
            _change("ExportHeldAlarm", "MetricName", "ExportHeld"),
            "ExportHeldAlarm: no function sends ExportHeld",
        ),
        (
            _change("ExportHeldAlarm", "Dimensions", OTHER_DIMENSION),
            "ExportHeldAlarm: ExportsHeld is not sent under ('Service',)",
        ),
        (
            _change("CleanUpDeadLettersAlarm", "MetricName", "MessagesVisible"),
            "CleanUpDeadLettersAlarm: AWS/SQS has no MessagesVisible under ('QueueName',)",
        ),
        (
            _change("CleanUpDeadLettersAlarm", "Dimensions", A_TOPIC),
            "CleanUpDeadLettersAlarm: AlarmTopic is no AWS::SQS::Queue",
        ),
        (_without("CleanUpDeadLettersAlarm"), "CleanUpDeadLetterQueue has 0 alarms"),
        (
            _change("ExportHeldAlarm", "OKActions", []),
            "ExportHeldAlarm does not tell the topic by OKActions",
        ),
        (
            _change("ExportHeldAlarm", "AlarmDescription", "Held. docs/runbook.md#export-held"),
            "ExportHeldAlarm does not say what has happened and what to do",
        ),
        (
            _change("ExportHeldAlarm", "AlarmDescription", "Held. Mend it. docs/runbook.md#held"),
            "ExportHeldAlarm does not name its section of the runbook",
        ),
        (
            _change("ExportHeldAlarm", "TreatMissingData", "missing"),
            "ExportHeldAlarm leaves open what silence means",
        ),
        (_change("ExportHeldAlarm", "Period", 90), "ExportHeldAlarm has a period that CloudWatch refuses"),
        (
            _change("FunctionsThrottledAlarm", "Metrics", []),
            "PlanRangesFunction may be throttled unseen",
        ),
        (
            _change("FunctionsThrottledAlarm", "Metrics", [A_METRIC] * 11),
            "FunctionsThrottledAlarm adds up more metrics than CloudWatch takes",
        ),
    ],
)
def test_an_alarm_that_would_not_help_is_found(
    expanded: Expanded, own: set[str], breaking: Callable[[dict[str, Any]], None], finding: str
) -> None:
    resources = copy.deepcopy(dict(expanded.resources))
    breaking(resources)
    assert finding in findings(Expanded(resources), own)
