"""Which events the rules let through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from local.testing.event_patterns import ENDED_EXECUTIONS, JOB_EVENTS, event_pattern
from local.testing.template_reader import read

ROOT = Path(__file__).parents[2]
DATASTORE = "0123456789abcdef0123456789abcdef"
STATE_MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:healthlake-hub-export"
EVENTS = ROOT / "events" / "healthlake_export"


def matches(path: tuple[str, ...], event: dict[str, Any]) -> bool:
    values = {"ExistingDatastoreId": DATASTORE, "ExportStateMachine": STATE_MACHINE}
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
