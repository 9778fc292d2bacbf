"""Positions in streams lead nowhere after a day: what starts their redrives without anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from dlq_redrive.arns import Home
from dlq_redrive.redrive_request import MOST_REDRIVES, RedriveRequest, parse_redrive_request
from local.testing.event_patterns import POSITION_ALARMS, event_pattern
from local.testing.template_reader import Expanded, references, text

STACK = "healthlake-hub"
KINDS = ("stream", "pipe")
HOURS_IN_A_STREAM = 24


@pytest.fixture
def alarm_event(root: Path) -> dict[str, Any]:
    sample = json.loads((root / "events" / "dlq_redrive" / "alarm_went_off.json").read_text())
    event: dict[str, Any] = sample["request"]
    return event


def starts(template: dict[str, Any], event: dict[str, Any], alarm: str, state: str = "ALARM") -> bool:
    event["detail"].update(alarmName=alarm, state={"value": state})
    pattern = event_pattern(template, POSITION_ALARMS, {"AWS::StackName": STACK})
    return bool(EventPattern.load(json.dumps(pattern)).matches_event(event))


def kinds_by_alarm(expanded: Expanded) -> dict[str, str]:
    """The names of alarms on dead-letter queues, each with the kind of its queue."""
    kinds = {
        name: tag["Value"]
        for name, queue in expanded.of_type("AWS::SQS::Queue").items()
        for tag in queue.get("Tags", [])
        if tag["Key"] == "redrive-kind"
    }
    return {
        text(alarm["AlarmName"]).replace("${AWS::StackName}", STACK): kinds[queue]
        for alarm in expanded.of_type("AWS::CloudWatch::Alarm").values()
        for queue in references(alarm.get("Dimensions", []))
        if queue in kinds
    }


def asked(target: dict[str, Any]) -> RedriveRequest:
    return parse_redrive_request(json.loads(target["Input"]), Home("aws", "us-east-1", "123456789012"))


def test_it_is_on_unless_somebody_turns_it_off(template: dict[str, Any], expanded: Expanded) -> None:
    assert template["Parameters"]["RedrivePositions"]["Default"] == "ENABLED"
    for name in ("RedrivePositionsRule", "RedrivePositionsSchedule"):
        assert text(expanded.properties(name)["State"]) == "${RedrivePositions}"


def test_the_alarms_of_queues_with_positions_start_a_redrive_and_no_others(
    template: dict[str, Any], expanded: Expanded, alarm_event: dict[str, Any]
) -> None:
    alarms = kinds_by_alarm(expanded)
    started = {name for name in alarms if starts(template, alarm_event, name)}

    assert started == {name for name, kind in alarms.items() if kind in KINDS}
    assert len(started) == 2


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
def test_an_alarm_that_calms_down_starts_none(
    template: dict[str, Any], alarm_event: dict[str, Any], state: str
) -> None:
    assert not starts(template, alarm_event, f"{STACK}-records-pipe-dead-letters", state)


def test_both_ask_for_positions_alone_and_for_as_many_tries_as_there_may_be(expanded: Expanded) -> None:
    (of_rule,) = expanded.properties("RedrivePositionsRule")["Targets"]
    for target in (of_rule, expanded.properties("RedrivePositionsSchedule")["Target"]):
        assert references(target["Arn"]) == {"RedriveStateMachine"}
        request = asked(target)
        assert (request.kinds, request.max_redrives, request.dry_run) == (KINDS, MOST_REDRIVES, False)


def test_an_hour_lies_between_tries_so_that_they_last_for_most_of_a_streams_day(expanded: Expanded) -> None:
    assert expanded.properties("RedrivePositionsSchedule")["ScheduleExpression"] == "rate(1 hour)"
    assert HOURS_IN_A_STREAM * 3 / 4 < MOST_REDRIVES < HOURS_IN_A_STREAM
