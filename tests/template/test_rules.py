"""Which events the rules let through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from local.testing.event_patterns import ENDED_EXECUTIONS, JOB_EVENTS, REDRIVE_ALARMS, event_pattern
from local.testing.template_reader import Expanded, read, references, text

ROOT = Path(__file__).parents[2]
DATASTORE = "0123456789abcdef0123456789abcdef"
STATE_MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:healthlake-hub-export"
STACK = "healthlake-hub"
EVENTS = ROOT / "events" / "healthlake_export"


def matches(path: tuple[str, ...], event: dict[str, Any]) -> bool:
    values = {
        "ExistingDatastoreId": DATASTORE,
        "ExportStateMachine": STATE_MACHINE,
        "AWS::StackName": STACK,
    }
    pattern = event_pattern(read(ROOT / "template.yaml"), path, values)
    return bool(EventPattern.load(json.dumps(pattern)).matches_event(event))


@pytest.fixture
def job_event() -> dict[str, Any]:
    record = json.loads((EVENTS / "job_reported_completed.json").read_text())["Records"][0]
    event: dict[str, Any] = json.loads(record["body"])
    return event


@pytest.mark.parametrize(
    "kind", ["Submitted", "Queued", "In Progress", "Completed", "Completed With Errors", "Failed"]
)
def test_every_event_about_an_export_job_of_the_datastore_is_let_through(
    job_event: dict[str, Any], kind: str
) -> None:
    assert matches(JOB_EVENTS, {**job_event, "detail-type": f"Export Job {kind}"})


@pytest.mark.parametrize("kind", ["Data Store Active", "Data Store Deleting", "Import Job Completed"])
def test_events_about_anything_else_are_not(job_event: dict[str, Any], kind: str) -> None:
    assert not matches(JOB_EVENTS, {**job_event, "detail-type": kind})


def test_events_of_another_datastore_are_not(job_event: dict[str, Any]) -> None:
    job_event["detail"]["datastoreId"] = "f" * 32

    assert not matches(JOB_EVENTS, job_event)


@pytest.mark.parametrize(
    ("status", "cleaned_up"),
    [("ABORTED", True), ("TIMED_OUT", True), ("FAILED", True), ("SUCCEEDED", False), ("RUNNING", False)],
)
def test_executions_that_ended_badly_are_cleaned_up(status: str, cleaned_up: bool) -> None:
    event = json.loads((EVENTS / "execution_was_stopped.json").read_text())
    event["detail"]["status"] = status

    assert matches(ENDED_EXECUTIONS, event) is cleaned_up


def test_executions_of_another_state_machine_are_left_alone() -> None:
    event = json.loads((EVENTS / "execution_was_stopped.json").read_text())
    event["detail"]["stateMachineArn"] += "-other"

    assert not matches(ENDED_EXECUTIONS, event)


@pytest.fixture
def alarm_event() -> dict[str, Any]:
    sample = json.loads((ROOT / "events" / "dlq_redrive" / "alarm_went_off.json").read_text())
    event: dict[str, Any] = sample["request"]
    return event


def test_the_alarm_of_every_dead_letter_queue_starts_a_redrive_when_it_goes_off(
    expanded: Expanded, alarm_event: dict[str, Any]
) -> None:
    for name, queue in expanded.of_type("AWS::SQS::Queue").items():
        if any(tag["Key"] == "redrive-kind" for tag in queue.get("Tags", [])):
            alarms = [
                one for one in expanded.of_type("AWS::CloudWatch::Alarm").values() if _watches(one, name)
            ]
            assert alarms, name
            for alarm in alarms:
                alarm_event["detail"]["alarmName"] = text(alarm["AlarmName"]).replace(
                    "${AWS::StackName}", STACK
                )
                assert matches(REDRIVE_ALARMS, alarm_event), name


def _watches(alarm: Mapping[str, Any], queue: str) -> bool:
    return queue in references([alarm.get("Dimensions", []), alarm.get("Metrics", [])])


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
def test_an_alarm_that_calms_down_starts_none(alarm_event: dict[str, Any], state: str) -> None:
    alarm_event["detail"]["state"]["value"] = state

    assert not matches(REDRIVE_ALARMS, alarm_event)


@pytest.mark.parametrize("name", [f"{STACK}-export-failed", "another-start-export-dead-letters"])
def test_alarms_about_anything_else_start_none(alarm_event: dict[str, Any], name: str) -> None:
    alarm_event["detail"]["alarmName"] = name

    assert not matches(REDRIVE_ALARMS, alarm_event)
