"""How a run fails: job cancelled, lock free, failure published, watermark where it was."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from common import aws_clients
from common.errors import AwsCallFailed
from healthlake_export import clean_up_failed_run
from healthlake_export.errors import EventsNotAccepted, HealthLakeBusy, RunSuperseded
from healthlake_export.export_listing import match_manifest
from healthlake_export.line_outcomes import LineOutcomes
from healthlake_export.run_context import RunIdentity
from healthlake_export.run_state import RunState
from healthlake_export.table_keys import ledger_key
from local.healthlake.faults import FailedResource
from local.testing.exported_content import exported_keys, put_export, read_object
from local.testing.mocked_hub import BUCKET, REGION, TABLE


@pytest.fixture(autouse=True)
def _patient(request: pytest.FixtureRequest) -> None:
    """Something to export."""
    name = "hub" if "hub" in request.fixturenames else "impatient_hub"
    request.getfixturevalue(name).put(("Patient", "p1"))


def assert_clean_after(hub: Any, run: Any, error: str) -> None:
    """What holds after every failure."""
    assert (run.status, run.error) == ("FAILED", error), run.cause
    assert run.path[-3:] == ["Clean Up Failed Run", "How Did The Run End?", "Export Failed"]
    assert hub.state.owner is None
    assert hub.state.watermark is None
    assert [(event["runId"], event["error"]) for event in hub.run_events("ExportFailed")] == [
        (run.name, error)
    ]


def assert_the_next_run_catches_up(hub: Any) -> None:
    run = hub.run()
    assert run.status == "SUCCEEDED", run.cause
    assert run.output["published"] >= 1


def test_a_failure_before_the_lock_is_recorded_and_published(hub: Any, failing: Any) -> None:
    acquire = hub.bench.functions["AcquireRunLockFunction"]
    refusals = [AwsCallFailed("UpdateItem was refused with InternalServerError.")] * 6
    hub.bench.functions["AcquireRunLockFunction"] = failing(*refusals, then=acquire)

    run = hub.run()

    assert run.path[:2] == ["Acquire Run Lock", "Keep The Failure"]
    assert_clean_after(hub, run, "AwsCallFailed")
    assert run.cause == "UpdateItem was refused with InternalServerError."
    assert_the_next_run_catches_up(hub)


def test_a_failed_export_job_fails_the_run_with_its_id_and_status(hub: Any) -> None:
    hub.healthlake.faults.fail_next_job()

    run = hub.run()

    assert_clean_after(hub, run, "ExportFailed")
    assert "FAILED" in run.cause
    assert_the_next_run_catches_up(hub)


def test_a_refused_start_fails_the_run(hub: Any) -> None:
    hub.healthlake.faults.refuse(1, 403, "AccessDeniedException", "StartFHIRExportJobWithPost")

    run = hub.run()

    assert_clean_after(hub, run, "HealthLakeRefused")
    assert "403" in run.cause
    assert_the_next_run_catches_up(hub)


def test_a_lost_heartbeat_cancels_the_job_and_says_what_to_look_at(impatient_hub: Any) -> None:
    hub = impatient_hub
    hub.bench.functions["CheckExportFunction"] = lambda event, context: {"batchItemFailures": []}
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")

    run = hub.run()

    assert_clean_after(hub, run, "HeartbeatTimeout")
    assert "Name The Lost Heartbeat" in run.path
    assert "check" in run.cause
    assert hub.jobs()[0].startswith("CANCEL")


def test_a_range_that_cannot_be_processed_fails_the_run_which_says_which_and_why(hub: Any) -> None:
    process = hub.bench.functions["ProcessRangeFunction"]

    def change_the_object_first(event: Any, context: Any) -> Any:
        boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key=event["range"]["key"], Body=b"{}")
        return process(event, context)

    hub.bench.functions["ProcessRangeFunction"] = change_the_object_first

    run = hub.run()

    assert_clean_after(hub, run, "ExceedToleratedFailureThreshold")
    assert run.children[0].error == "RangeChanged"
    assert run.cause.startswith("Byte range 0: RangeChanged: ")
    hub.bench.functions["ProcessRangeFunction"] = process
    assert_the_next_run_catches_up(hub)


@pytest.mark.parametrize(
    "error", [AwsCallFailed("GetObject was refused with SlowDown."), EventsNotAccepted("no")]
)
def test_a_range_is_tried_again_after_a_passing_fault(hub: Any, failing: Any, error: Exception) -> None:
    process = hub.bench.functions["ProcessRangeFunction"]
    hub.bench.functions["ProcessRangeFunction"] = failing(error, error, then=process)

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert len(hub.bench.calls("ProcessRangeFunction")) == 3
    assert run.output["published"] == 1


def test_a_range_function_that_skips_a_line_fails_the_run(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put(("Patient", "p2"), ("Patient", "p3"))
    decide = LineOutcomes._take_resource
    taken: list[Any] = []

    def skip_the_second(outcomes: LineOutcomes, line: Any, keys: Any) -> None:
        taken.append(line)
        if len(taken) != 2:
            decide(outcomes, line, keys)

    monkeypatch.setattr(LineOutcomes, "_take_resource", skip_the_second)

    run = hub.run()

    assert_clean_after(hub, run, "ReconciliationFailed")
    monkeypatch.undo()
    assert_the_next_run_catches_up(hub)


def test_a_manifest_that_names_a_missing_file_fails_the_run(hub: Any) -> None:
    plan = hub.bench.functions["PlanRangesFunction"]

    def lose_a_file_first(event: Any, context: Any) -> Any:
        s3 = boto3.client("s3", REGION)
        key = s3.list_objects_v2(Bucket=BUCKET, Prefix="exports/")["Contents"][0]["Key"]
        s3.delete_object(Bucket=BUCKET, Key=key)
        return plan(event, context)

    hub.bench.functions["PlanRangesFunction"] = lose_a_file_first

    run = hub.run()

    assert_clean_after(hub, run, "ManifestMismatch")


def test_a_file_that_the_manifest_does_not_name_fails_the_run(hub: Any) -> None:
    plan = hub.bench.functions["PlanRangesFunction"]

    def leave_a_file_first(event: Any, context: Any) -> Any:
        key = exported_keys(event["run"]["runId"])[0]
        put_export(key.replace(".ndjson", "-copy.ndjson"), read_object(key))
        return plan(event, context)

    hub.bench.functions["PlanRangesFunction"] = leave_a_file_first

    run = hub.run()

    assert_clean_after(hub, run, "ManifestMismatch")
    assert "S3 has, and the manifest does not name" in run.cause
    assert "-copy.ndjson" in run.cause
    hub.bench.functions["PlanRangesFunction"] = plan
    assert_the_next_run_catches_up(hub)


@pytest.mark.parametrize("missing", [0, 1], ids=["the first", "the last"])
def test_a_missing_ledger_item_fails_the_run_and_is_named(hub: Any, missing: int) -> None:
    hub.put(("Group", "g1"))
    reconcile = hub.bench.functions["ReconcileRunFunction"]

    def lose_an_item_first(event: Any, context: Any) -> Any:
        boto3.client("dynamodb", REGION).delete_item(
            TableName=TABLE, Key=ledger_key(event["run"]["runId"], missing)
        )
        return reconcile(event, context)

    hub.bench.functions["ReconcileRunFunction"] = lose_an_item_first

    run = hub.run()

    assert_clean_after(hub, run, "ReconciliationFailed")
    assert run.cause == f"Range {missing} has no ledger item."
    hub.bench.functions["ReconcileRunFunction"] = reconcile
    assert_the_next_run_catches_up(hub)


def test_an_error_file_overwritten_between_plan_and_read_fails_the_run(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.healthlake.faults.errors_in_next_job(FailedResource("Patient", "p1"))

    def overwrite_after(*args: Any) -> Any:
        files = match_manifest(*args)
        put_export(files.errors[0].key, b"{}")
        return files

    monkeypatch.setattr("healthlake_export.export_planning.match_manifest", overwrite_after)

    run = hub.run()

    assert_clean_after(hub, run, "RangeChanged")


def test_a_busy_healthlake_is_asked_again_for_the_manifest(hub: Any, failing: Any) -> None:
    plan = hub.bench.functions["PlanRangesFunction"]
    hub.bench.functions["PlanRangesFunction"] = failing(HealthLakeBusy("503"), then=plan)

    assert hub.run().status == "SUCCEEDED"


def test_a_run_that_lost_the_lock_ends_as_superseded(hub: Any, failing: Any) -> None:
    reconcile = hub.bench.functions["ReconcileRunFunction"]

    def lose_the_lock_first(event: Any, context: Any) -> Any:
        run = event["run"]
        state = RunState(aws_clients.dynamodb(), TABLE, run["datastoreId"])
        identity = RunIdentity(run["runId"], run["executionArn"], run["datastoreId"])
        state.close(
            identity,
            {"status": "FAILED", "error": "RunAbandoned"},
            '{"detailType": "ExportFailed", "detail": {}}',
        )
        return reconcile(event, context)

    hub.bench.functions["ReconcileRunFunction"] = lose_the_lock_first

    run = hub.run()

    assert run.status == "SUCCEEDED"
    assert run.path[-1] == "Superseded"
    assert run.output == {"runId": run.name, "status": "SUPERSEDED"}
    assert hub.state.watermark is None


def test_when_even_the_clean_up_fails_the_rule_makes_up_for_it(hub: Any, failing: Any) -> None:
    clean_up = hub.bench.functions["CleanUpFailedRunFunction"]
    errors = [AwsCallFailed("TransactWriteItems was refused with InternalServerError.")] * 9
    hub.bench.functions["CleanUpFailedRunFunction"] = failing(*errors, then=clean_up)
    hub.healthlake.faults.fail_next_job()

    run = hub.run()

    assert (run.status, run.error, run.path[-1]) == ("FAILED", "CleanUpFailed", "Clean Up Failed")
    hub.bench.wait_until(lambda: hub.state.owner is None)


def test_a_run_whose_last_answer_was_lost_ends_as_complete(hub: Any) -> None:
    advance = hub.bench.functions["AdvanceWatermarkFunction"]

    def write_and_lose_the_answer(event: Any, context: Any) -> Any:
        advance(event, context)
        raise AwsCallFailed("TransactWriteItems was refused with InternalServerError.")

    hub.bench.functions["AdvanceWatermarkFunction"] = write_and_lose_the_answer

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert run.path[-3:] == ["Clean Up Failed Run", "How Did The Run End?", "Export Was Complete"]
    assert (run.output["status"], run.output["published"]) == ("COMPLETED", 1)
    assert hub.state.watermark is not None
    assert [event["runId"] for event in hub.run_events("ExportCompleted")] == [run.name]
    assert hub.run_events("ExportFailed") == []


def test_a_run_that_completes_while_it_is_being_cleaned_up_ends_as_complete(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advance function works on after its state has timed out."""
    advance = hub.bench.functions["AdvanceWatermarkFunction"]
    late: list[Any] = []
    cancel_job = clean_up_failed_run.cancel_job

    def time_out(event: Any, context: Any) -> Any:
        late.append((event, context))
        raise RunSuperseded("Stands for a timeout, which is tried again and again.")

    def advance_meanwhile(*args: Any) -> None:
        cancel_job(*args)
        advance(*late[0])

    hub.bench.functions["AdvanceWatermarkFunction"] = time_out
    monkeypatch.setattr(clean_up_failed_run, "cancel_job", advance_meanwhile)

    run = hub.run()

    assert run.path[-3:] == ["Clean Up Failed Run", "How Did The Run End?", "Export Was Complete"]
    assert hub.state.watermark is not None
    assert [event["runId"] for event in hub.run_events("ExportCompleted")] == [run.name]
    assert hub.run_events("ExportFailed") == []


def test_a_start_function_with_a_broken_setting_ends_the_wait_by_its_name(hub: Any) -> None:
    start = hub.bench.functions["StartExportFunction"]

    def start_without_a_queue(event: Any, context: Any) -> Any:
        hub.configure(CHECK_QUEUE_URL="")
        try:
            return start(event, context)
        finally:
            hub.configure(CHECK_QUEUE_URL=hub.queues.check)

    hub.bench.functions["StartExportFunction"] = start_without_a_queue

    run = hub.run()

    assert_clean_after(hub, run, "InvalidSetting")
    assert "CHECK_QUEUE_URL" in run.cause


def test_a_bus_that_refuses_the_failure_does_not_hide_it(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise EventsNotAccepted("The bus refused the event.")

    monkeypatch.setattr("healthlake_export.clean_up_failed_run.publish_outbox", refuse)
    hub.healthlake.faults.fail_next_job()

    run = hub.run()

    assert (run.status, run.error) == ("FAILED", "ExportFailed")
    assert [run_id for run_id, _ in hub.outbox()] == [run.name]


def test_a_superseded_start_ends_the_wait(hub: Any) -> None:
    start = hub.bench.functions["StartExportFunction"]

    def start_without_the_lock(event: Any, context: Any) -> Any:
        boto3.client("dynamodb", REGION).update_item(
            TableName=TABLE,
            Key={"pk": {"S": f"DATASTORE#{hub.datastore.datastore_id}"}, "sk": {"S": "STATE"}},
            UpdateExpression="REMOVE #owner",
            ExpressionAttributeNames={"#owner": "owner"},
        )
        return start(event, context)

    hub.bench.functions["StartExportFunction"] = start_without_the_lock

    run = hub.run()

    assert run.path[-1] == "Superseded"
    assert hub.jobs() == []
    assert RunSuperseded.__name__ in str(run.history)
