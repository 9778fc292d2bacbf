"""The handler that ends a run that failed, on its sample events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from common import aws_clients
from healthlake_export import (
    acquire_run_lock,
    advance_watermark,
    clean_up_failed_run,
)
from healthlake_export.erasures import lock_owner
from healthlake_export.fhir_export_api import ExportJob
from healthlake_export.run_context import RunIdentity
from healthlake_export.run_state import RunState
from local.testing.fake_services import refusal

Invoke = Callable[..., Any]


class StubbedExecutions:
    """Step Functions, asked about an execution: what it tells, or the refusal it raises."""

    def __init__(self, refusal: Exception | None = None, **told: str | int) -> None:
        self._refusal = refusal
        self._told = told
        self.described: list[str] = []

    def describe_execution(self, *, executionArn: str) -> dict[str, str | int]:  # noqa: N803 - the SDK's name
        self.described.append(executionArn)
        if self._refusal:
            raise self._refusal
        return {"executionArn": executionArn, "status": "FAILED", **self._told}


def test_a_failed_run_is_recorded_released_and_published(invoke: Invoke, state: RunState, bus: Any) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    answer = invoke(clean_up_failed_run, "range_could_not_be_processed")

    assert (answer["error"], answer["outcome"]) == ("ExceedToleratedFailureThreshold", "FAILED")
    assert "byte range" in answer["cause"]
    assert state.read().owner is None
    event = bus()[0]
    assert event["detail-type"] == "ExportFailed"
    assert event["detail"]["error"] == "ExceedToleratedFailureThreshold"


@pytest.mark.parametrize(("stale_after", "released"), [("2026-03-01T12:00:00Z", True), ("2999", False)])
def test_an_erasure_loses_the_lock_once_it_is_stale_and_leaves_no_run_behind(
    invoke: Invoke, state: RunState, bus: Any, stale_after: str, *, released: bool
) -> None:
    owner = lock_owner("1")
    assert state.acquire("unused", owner, now="now", stale_after=stale_after)
    abandoned = {"executionArn": owner, "failure": {"Error": "RunAbandoned"}}

    answer = invoke(clean_up_failed_run, "range_could_not_be_processed", **abandoned)

    assert answer["outcome"] == "RELEASED"
    assert (state.read().owner is None) == released
    assert state.read_audit(RunIdentity.of_execution(owner, state.datastore_id)) == {}
    assert bus() == []


def test_cleaning_up_twice_changes_nothing_and_publishes_once(invoke: Invoke, bus: Any) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    first = invoke(clean_up_failed_run, "range_could_not_be_processed")

    assert invoke(clean_up_failed_run, "range_could_not_be_processed") == first
    assert len(bus()) == 1


def test_a_stopped_execution_is_cleaned_up_by_the_event_of_its_status(
    invoke: Invoke, state: RunState, bus: Any
) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    assert invoke(clean_up_failed_run, "execution_was_stopped")["error"] == "ABORTED"

    assert state.read().owner is None
    assert bus()[0]["detail"]["cause"].startswith("The execution was stopped. Why is not known: ")


def test_a_failure_that_the_event_leaves_out_is_asked_for(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch, sample_event: Any
) -> None:
    """As events about executions of an encrypted state machine do."""
    run = invoke(acquire_run_lock, "schedule_fired")["run"]
    asked = StubbedExecutions(error="States.DataLimitExceeded", cause="too large")
    monkeypatch.setattr(aws_clients, "stepfunctions", lambda: asked)
    detail = {**sample_event("healthlake_export/execution_was_stopped")["detail"], "status": "FAILED"}

    answer = invoke(clean_up_failed_run, "execution_was_stopped", detail=detail)

    assert asked.described == [run["executionArn"]]
    assert answer["error"] == "DataLimitExceeded"
    assert answer["cause"] == "A state's input or output was larger than Step Functions takes."


def test_an_execution_that_was_redriven_before_its_end_was_told_keeps_its_lock(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = invoke(acquire_run_lock, "schedule_fired")["run"]
    redriven = StubbedExecutions(status="RUNNING", redriveCount=1)
    monkeypatch.setattr(aws_clients, "stepfunctions", lambda: redriven)

    assert invoke(clean_up_failed_run, "execution_was_stopped")["outcome"] == "REDRIVEN"

    assert state.read().owner == run["executionArn"]
    assert state.outbox() == []


@pytest.mark.parametrize("redrives", [0, 1])
def test_an_execution_that_is_told_to_run_because_its_end_is_not_known_yet_is_cleaned_up(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch, sample_event: Any, redrives: int
) -> None:
    """DescribeExecution is eventually consistent."""
    invoke(acquire_run_lock, "schedule_fired")
    stale = StubbedExecutions(status="RUNNING", redriveCount=redrives)
    monkeypatch.setattr(aws_clients, "stepfunctions", lambda: stale)
    detail = {**sample_event("healthlake_export/execution_was_stopped")["detail"], "redriveCount": redrives}

    assert invoke(clean_up_failed_run, "execution_was_stopped", detail=detail)["outcome"] == "FAILED"

    assert state.read().owner is None


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (
            refusal("AccessDeniedException", "DescribeExecution"),
            "DescribeExecution was refused with AccessDeniedException.",
        ),
        (EndpointConnectionError(endpoint_url="https://states"), "failed with EndpointConnectionError."),
    ],
    ids=["not allowed", "no answer"],
)
def test_a_failure_that_cannot_be_asked_for_says_why_and_frees_the_lock(
    invoke: Invoke,
    state: RunState,
    monkeypatch: pytest.MonkeyPatch,
    sample_event: Any,
    refused: Exception,
    told: str,
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    monkeypatch.setattr(aws_clients, "stepfunctions", lambda: StubbedExecutions(refusal=refused))
    detail = {**sample_event("healthlake_export/execution_was_stopped")["detail"], "status": "FAILED"}

    answer = invoke(clean_up_failed_run, "execution_was_stopped", detail=detail)

    assert told in answer["cause"]
    assert state.read().owner is None


def test_a_run_that_lost_the_lock_to_another_is_superseded_and_harms_nobody(
    invoke: Invoke, state: RunState, bus: Any
) -> None:
    lost = invoke(acquire_run_lock, "schedule_fired")["run"]
    failure = {"Error": "RunAbandoned"}
    taken_over = {"executionArn": lost["executionArn"], "failure": failure}
    invoke(clean_up_failed_run, "range_could_not_be_processed", **taken_over)
    owner = invoke(acquire_run_lock, "replay_requested")["run"]["executionArn"]

    answer = invoke(clean_up_failed_run, "range_could_not_be_processed")

    assert answer["outcome"] == "SUPERSEDED"
    assert answer["result"] == {"runId": "run-of-noon", "status": "SUPERSEDED"}
    assert state.read().owner == owner
    assert [event["detail"]["error"] for event in bus()] == ["RunAbandoned"]


def test_a_run_that_failed_before_it_had_the_lock_is_recorded_and_published_once(
    invoke: Invoke, state: RunState, bus: Any
) -> None:
    owner = invoke(acquire_run_lock, "replay_requested")["run"]["executionArn"]

    answer = invoke(clean_up_failed_run, "range_could_not_be_processed")
    assert invoke(clean_up_failed_run, "range_could_not_be_processed") == answer

    assert answer["outcome"] == "FAILED"
    assert state.read().owner == owner
    assert [event["detail"]["runId"] for event in bus()] == ["run-of-noon"]


def test_a_run_whose_last_answer_was_lost_is_complete_and_not_failed(
    invoke: Invoke, state: RunState, bus: Any
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    invoke(advance_watermark, "run_was_reconciled")

    answer = invoke(clean_up_failed_run, "range_could_not_be_processed")

    assert answer["outcome"] == "COMPLETED"
    assert (answer["result"]["status"], answer["result"]["published"]) == ("COMPLETED", 1150)
    assert not {"pk", "sk"} & set(answer["result"]), "keys of the table are nobody's business"
    assert [event["detail-type"] for event in bus()] == ["ExportCompleted"]


def test_a_run_that_completes_while_it_is_cleaned_up_is_complete(
    invoke: Invoke, state: RunState, bus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late last write: it lands after the clean-up has read who owns the lock."""
    invoke(acquire_run_lock, "schedule_fired")
    monkeypatch.setattr(
        clean_up_failed_run, "cancel_job", lambda *_: invoke(advance_watermark, "run_was_reconciled")
    )

    counted: dict[str, int] = {}
    monkeypatch.setattr(clean_up_failed_run, "count", lambda **counts: counted.update(counts))

    answer = invoke(clean_up_failed_run, "range_could_not_be_processed")

    assert answer["outcome"] == "COMPLETED"
    assert [event["detail-type"] for event in bus()] == ["ExportCompleted"]
    assert counted == {}, "no failure"


def test_a_bus_that_refuses_does_not_hide_why_a_run_failed(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    monkeypatch.setattr(aws_clients.events(), "put_events", lambda **_: refused)

    assert invoke(clean_up_failed_run, "range_could_not_be_processed")["outcome"] == "FAILED"

    assert (state.read().owner, len(state.outbox())) == (None, 1)


def test_who_does_not_have_the_lock_leaves_the_job_of_who_has_it(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = invoke(acquire_run_lock, "replay_requested")["run"]["executionArn"]
    state.begin_start(owner, "attempt", "token", "invocation", now=0, until=90, at="12:00")
    healthlake = StoppedWhileStarting("IN_PROGRESS")
    monkeypatch.setattr(clean_up_failed_run, "export_api", lambda _datastore_id: healthlake)

    invoke(clean_up_failed_run, "execution_was_stopped")

    assert healthlake.cancelled == []
    assert state.read().owner == owner


class StoppedWhileStarting:
    """A HealthLake with the job of a run that was stopped before it wrote down which job it got."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.cancelled: list[str] = []

    def find(self, job_name: str) -> str | None:
        return "orphan"

    def describe(self, job_id: str) -> ExportJob:
        return ExportJob(job_id, self.status)

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)


@pytest.mark.parametrize(("status", "cancelled"), [("IN_PROGRESS", ["orphan"]), ("COMPLETED", [])])
def test_the_job_of_a_run_stopped_while_starting_is_found_and_cancelled_unless_it_has_ended(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch, status: str, cancelled: list[str]
) -> None:
    run = invoke(acquire_run_lock, "schedule_fired")["run"]
    state.begin_start(run["executionArn"], "attempt", "token", "invocation", now=0, until=90, at="12:00")
    healthlake = StoppedWhileStarting(status)
    monkeypatch.setattr(clean_up_failed_run, "export_api", lambda _datastore_id: healthlake)

    invoke(clean_up_failed_run, "execution_was_stopped")

    assert healthlake.cancelled == cancelled
    assert state.read().owner is None
