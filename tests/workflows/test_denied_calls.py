"""What a run says when its state machine lacks a permission that only unlucky runs need."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from common import aws_clients
from common.errors import AwsCallFailed
from local.stepfunctions import api
from local.stepfunctions.errors import StepFunctionsError

NOT_ALLOWED = "User: x is not authorized to perform: states:DescribeExecution on resource: y"


@pytest.fixture
def may_not_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    """DescribeExecution is refused as IAM refuses it."""
    handle = api.handle

    def refuse(engine: Any, action: str, request: Any) -> Any:
        if action == "DescribeExecution":
            return api.refused(StepFunctionsError("AccessDeniedException", NOT_ALLOWED))
        return handle(engine, action, request)

    monkeypatch.setattr(api, "handle", refuse)


def test_a_run_that_may_not_ask_about_the_lock_s_owner_fails_and_names_the_action(
    hub: Any, may_not_describe: None
) -> None:
    hub.put(("Patient", "p1"))
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    owner = hub.bench.start()
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")

    run = hub.run()

    assert "Is The Unknown Owner Stale?" in run.path
    assert (run.status, run.error) == ("FAILED", "Sfn.SfnException")
    assert "states:DescribeExecution" in run.cause
    assert hub.state.owner == owner.arn


def test_a_run_that_could_not_be_cleaned_up_says_why_it_failed_and_why_its_clean_up_did(
    hub: Any, failing: Any
) -> None:
    plan, clean_up = (
        hub.bench.functions[name] for name in ("PlanRangesFunction", "CleanUpFailedRunFunction")
    )
    hub.put(("Patient", "p1"))
    denied = AwsCallFailed("GetItem was refused. The action dynamodb:GetItem is not allowed.")
    hub.bench.functions["PlanRangesFunction"] = failing(*[AwsCallFailed("no listing")] * 9, then=plan)
    hub.bench.functions["CleanUpFailedRunFunction"] = failing(*[denied] * 9, then=clean_up)

    run = hub.run()

    assert (run.status, run.error, run.path[-1]) == ("FAILED", "CleanUpFailed", "Clean Up Failed")
    assert "dynamodb:GetItem is not allowed" in run.cause
    assert "no listing" in run.cause


def test_a_bus_that_may_not_be_written_to_does_not_hide_why_a_run_failed(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.put(("Patient", "p1"))
    hub.healthlake.faults.fail_next_job()
    refusal: Any = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}

    def refuse(**_: Any) -> Any:
        raise ClientError(refusal, "PutEvents")

    monkeypatch.setattr(aws_clients.events(), "put_events", refuse)

    run = hub.run()

    assert (run.status, run.error) == ("FAILED", "ExportFailed"), run.cause
    assert [run_id for run_id, _ in hub.outbox()] == [run.name]
