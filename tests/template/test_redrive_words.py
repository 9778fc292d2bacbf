"""What the template and the README say of redrives is what they do, where somebody acts on it."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from local.testing.template_reader import Expanded, text


@pytest.fixture
def readme(root: Path) -> str:
    return " ".join((root / "README.md").read_text(encoding="utf-8").split())


def test_the_alarm_of_events_that_the_bus_could_not_keep_asks_for_a_redrive(template: dict[str, Any]) -> None:
    """As its section of the runbook does: a replay would leave what lies in the queue."""
    said = text(template["Resources"]["EventBusDeadLettersAlarm"]["Properties"]["AlarmDescription"])
    assert "redrive the queue" in said
    assert "replay" not in said


def test_a_schedule_whose_rate_is_a_parameter_does_not_tell_it(expanded: Expanded) -> None:
    schedules = expanded.of_type("AWS::Scheduler::Schedule")
    said = {name: text(one["Description"]) for name, one in schedules.items()}
    assert {name: words for name, words in said.items() if "once a day" in words or "daily" in words} == {}


def test_messages_per_second_are_said_to_be_those_of_each_queue(
    template: dict[str, Any], root: Path, readme: str
) -> None:
    definition = (root / "statemachines" / "dlq_redrive.asl.json").read_text(encoding="utf-8")
    assert json.loads(definition)["States"]["Redrive Each Queue"]["MaxConcurrency"] == 10
    assert "ten queues at a time" in template["Parameters"]["RedriveMessagesPerSecond"]["Description"]
    assert "from each queue; it redrives ten at a time" in readme
    assert "1 to 500, for each queue" in readme


def test_what_ends_redrives_by_alarms_is_said(template: dict[str, Any], readme: str) -> None:
    said = template["Parameters"]["RedriveOnAlarm"]["Description"]
    assert all("MaxRedrives" in words and "An alarm that stays on" in words for words in (said, readme))


def test_an_alias_with_a_dash_is_denied_and_said_to_be(expanded: Expanded, readme: str) -> None:
    name = (
        "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-Fn-1A2b3C"
    )
    denied = [
        resource
        for one in expanded.granted("RedriveMessagesFunctionRole")
        if one.effect == "Deny"
        for resource in one.resources
    ]

    assert not any(fnmatchcase(f"{name}:live", resource) for resource in denied)
    assert any(fnmatchcase(f"{name}:live-now", resource) for resource in denied)
    assert "an alias of a function without a dash" in readme
