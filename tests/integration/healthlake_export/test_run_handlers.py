"""The handlers that begin and end a run, on their sample events."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from common import aws_clients
from common.errors import InvalidInput, InvalidSetting
from healthlake_export import (
    acquire_run_lock,
    advance_watermark,
    check_export,
    clean_up_failed_run,
    publish_run_events,
)
from healthlake_export.errors import EventsNotAccepted, ExportsPaused, RunLockHeld, RunSuperseded
from healthlake_export.fhir_export_api import ExportJob
from healthlake_export.instants import format_instant
from healthlake_export.run_context import RunContext, RunIdentity
from healthlake_export.run_events import export_failed
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings
from healthlake_export.table_keys import state_key
from local.testing.fake_services import refusal

Invoke = Callable[..., Any]

NOON = RunIdentity("run-of-noon", "arn", "store")


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


@pytest.fixture
def invoke(hub: Any, sample_event: Any, lambda_context: Any) -> Invoke:
    """Calls a handler with a sample event, changed as given."""

    def call(module: Any, name: str, **changes: Any) -> Any:
        return module.lambda_handler({**sample_event(f"healthlake_export/{name}"), **changes}, lambda_context)

    return call


@pytest.fixture
def state(hub: Any) -> RunState:
    return RunState(aws_clients.dynamodb(), hub.settings.table, hub.settings.datastore_id)


@pytest.fixture
def bus(hub: Any) -> Callable[[], list[Any]]:
    """Events on the hub's bus, as a queue behind a rule received them."""
    events, sqs = aws_clients.events(), aws_clients.sqs()
    sqs.create_queue(QueueName="subscriber")
    events.put_rule(Name="all", EventBusName="hub-events", EventPattern='{"source": ["healthlake-hub"]}')
    arn = f"arn:aws:sqs:us-east-1:{DEFAULT_ACCOUNT_ID}:subscriber"
    events.put_targets(Rule="all", EventBusName="hub-events", Targets=[{"Id": "q", "Arn": arn}])

    def received() -> list[Any]:
        queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue("subscriber")
        return [json.loads(message.body) for message in queue._messages]

    return received


def test_a_scheduled_run_takes_the_lock_and_plans_the_first_full_run(invoke: Invoke, state: RunState) -> None:
    run = invoke(acquire_run_lock, "schedule_fired")["run"]

    assert (run["runId"], run["mode"], run["since"]) == ("run-of-noon", "full", None)
    assert state.read().owner == run["executionArn"]


def test_an_asked_for_replay_names_its_types_and_window(invoke: Invoke) -> None:
    run = invoke(acquire_run_lock, "replay_requested")["run"]

    assert (run["mode"], run["types"]) == ("replay", ["Patient", "Observation"])
    assert (run["since"], run["until"]) == ("2026-02-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z")


def test_a_second_execution_finds_the_lock_held(invoke: Invoke) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    with pytest.raises(RunLockHeld):
        invoke(acquire_run_lock, "replay_requested")


def test_an_execution_whose_answer_was_lost_takes_its_lock_again(invoke: Invoke) -> None:
    first = invoke(acquire_run_lock, "schedule_fired")

    assert invoke(acquire_run_lock, "schedule_fired") == first


def test_a_wrong_input_is_refused_by_name_with_nothing_locked(invoke: Invoke, state: RunState) -> None:
    with pytest.raises(InvalidInput, match="'type'"):
        invoke(acquire_run_lock, "request_with_unknown_field")

    assert state.read().owner is None


@pytest.mark.parametrize(("name", "value"), [("CHECK_QUEUE_URL", ""), ("MAX_INLINE_BYTES", "many")])
def test_a_wrong_setting_of_any_function_is_refused_by_name_with_nothing_locked(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    export_settings.cache_clear()

    with pytest.raises(InvalidSetting, match=name):
        invoke(acquire_run_lock, "schedule_fired")

    assert state.read().owner is None


def test_a_completed_run_moves_the_watermark_to_its_start_request(invoke: Invoke, state: RunState) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    summary = invoke(advance_watermark, "run_was_reconciled")

    assert (summary["status"], summary["watermark"]) == ("COMPLETED", "2026-03-01T12:00:01.000Z")
    assert (summary["lines"], summary["published"], summary["repeated"], summary["quarantined"]) == (
        1200,
        1150,
        48,
        2,
    )
    after = state.read()
    assert (after.owner, after.watermark) == (None, "2026-03-01T12:00:01.000Z")
    assert after.published_ids == "runs/run-of-noon/published-ids.bin"


def test_an_execution_name_that_was_used_before_is_refused_before_anything_is_locked(
    invoke: Invoke, state: RunState
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    invoke(clean_up_failed_run, "execution_was_stopped")
    later = {"arn": "arn:again", "name": "run-of-noon", "startedAt": "2026-06-30T12:00:00.000Z"}

    with pytest.raises(InvalidInput, match="used before"):
        invoke(acquire_run_lock, "schedule_fired", execution=later)

    assert state.read().owner is None


def test_a_run_that_was_stopped_and_cleaned_up_while_it_began_is_not_opened_again(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_audit = RunState.open_audit

    def after_the_clean_up(state: RunState, run: RunContext, locked_at: str) -> bool:
        state.close(run.identity, {"runId": run.run_id, "status": "FAILED"}, export_failed({}))
        return open_audit(state, run, locked_at)

    monkeypatch.setattr(RunState, "open_audit", after_the_clean_up)

    with pytest.raises(RunSuperseded):
        invoke(acquire_run_lock, "schedule_fired")

    ((run_id, _),) = state.outbox()
    assert state.read_audit(RunIdentity(run_id, "arn", "store"))["status"] == "FAILED"


def test_the_age_of_the_watermark_is_told_whoever_holds_the_lock(
    invoke: Invoke, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(acquire_run_lock, "replay_requested")
    capsys.readouterr()

    with pytest.raises(RunLockHeld):
        invoke(acquire_run_lock, "schedule_fired")

    assert "WatermarkAgeSeconds" in capsys.readouterr().out


def test_the_time_that_a_first_export_may_take_does_not_count_to_the_age(
    invoke: Invoke, hub: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(acquire_run_lock, "replay_requested")
    began = datetime.now(UTC) - timedelta(seconds=hub.settings.max_export_seconds + 3600)
    aws_clients.dynamodb().update_item(
        TableName=hub.settings.table,
        Key=state_key(hub.settings.datastore_id),
        UpdateExpression="SET firstRunAt = :began",
        ExpressionAttributeValues={":began": {"S": format_instant(began)}},
    )
    capsys.readouterr()

    with pytest.raises(RunLockHeld):
        invoke(acquire_run_lock, "schedule_fired")

    (metric,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert 3600 <= metric["WatermarkAgeSeconds"][0] < 4200


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch, invoke: Invoke, state: RunState) -> None:
    """Three runs that HealthLake could not export in full, held."""
    monkeypatch.setenv("ON_EXPORT_ERRORS", "hold")
    export_settings.cache_clear()
    for number in range(3):
        execution = {"arn": f"arn:{number}", "name": str(number), "startedAt": "2026-03-01T12:00:00.000Z"}
        run = invoke(acquire_run_lock, "schedule_fired", execution=execution)["run"]
        export = {
            "jobId": "job",
            "jobStatus": "COMPLETED_WITH_ERRORS",
            "requestedAt": "2026-03-01T12:00:01.000Z",
        }
        assert invoke(advance_watermark, "run_was_reconciled", run=run, export=export)["held"]


@pytest.mark.usefixtures("paused")
def test_after_three_held_runs_what_the_schedule_starts_is_turned_away(
    invoke: Invoke, state: RunState, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportsPaused, match="3 held runs"):
        invoke(acquire_run_lock, "schedule_fired")

    assert state.read().owner is None
    assert '"ExportsPaused":[1.0]' in capsys.readouterr().out


@pytest.mark.usefixtures("paused")
def test_a_run_by_hand_goes_on_in_a_pause(invoke: Invoke, state: RunState) -> None:
    assert invoke(acquire_run_lock, "schedule_fired", request={})["run"]["startedBy"] == "unknown"


@pytest.mark.usefixtures("paused")
def test_resuming_lets_the_schedule_start_runs_again(invoke: Invoke, state: RunState) -> None:
    assert state.resume()
    assert not state.resume()

    assert invoke(acquire_run_lock, "schedule_fired")["run"]["startedBy"] == "schedule"


def test_a_completed_run_is_counted_in_the_metrics(
    invoke: Invoke, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    capsys.readouterr()

    invoke(advance_watermark, "run_was_reconciled")

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["ExportsCompleted"], line["ResourcesPublished"]) for line in metrics] == [([1.0], [1150.0])]


def test_advancing_twice_gives_the_same_answer_and_one_event(invoke: Invoke, state: RunState) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    first = invoke(advance_watermark, "run_was_reconciled")
    assert invoke(advance_watermark, "run_was_reconciled") == first
    assert len(state.outbox()) == 1


def test_a_run_that_lost_the_lock_moves_no_watermark(invoke: Invoke, state: RunState) -> None:
    invoke(acquire_run_lock, "replay_requested")

    with pytest.raises(RunSuperseded):
        invoke(advance_watermark, "run_was_reconciled")
    assert state.read().watermark is None


def test_a_replay_leaves_the_watermark_alone(invoke: Invoke, state: RunState, sample_event: Any) -> None:
    run = {**invoke(acquire_run_lock, "schedule_fired")["run"], "mode": "replay", "advancesWatermark": False}

    summary = invoke(advance_watermark, "run_was_reconciled", run=run)

    assert summary["watermark"] is None
    assert state.read().watermark is None


@pytest.mark.parametrize(("policy", "moves"), [("advance", True), ("hold", False)])
def test_an_export_with_errors_moves_the_watermark_or_holds_it_as_set(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch, policy: str, moves: bool
) -> None:
    monkeypatch.setenv("ON_EXPORT_ERRORS", policy)
    export_settings.cache_clear()
    invoke(acquire_run_lock, "schedule_fired")
    export = {"jobId": "job", "jobStatus": "COMPLETED_WITH_ERRORS", "requestedAt": "2026-03-01T12:00:01.000Z"}

    invoke(advance_watermark, "run_was_reconciled", export=export)

    assert (state.read().watermark is not None) is moves
    assert state.read().owner is None


def test_error_files_of_a_job_that_says_it_completed_are_errors_too(
    invoke: Invoke, state: RunState, sample_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ON_EXPORT_ERRORS", "hold")
    export_settings.cache_clear()
    invoke(acquire_run_lock, "schedule_fired")
    plan = sample_event("healthlake_export/run_was_reconciled")["plan"]

    assert invoke(advance_watermark, "run_was_reconciled", plan={**plan, "quarantined": 1})["held"]

    assert state.read().watermark is None


def test_the_completion_event_is_published_and_leaves_the_outbox(
    invoke: Invoke, state: RunState, bus: Any
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    invoke(advance_watermark, "run_was_reconciled")

    assert invoke(publish_run_events, "run_is_complete") == {"published": ["run-of-noon"]}

    event = bus()[0]
    assert (event["source"], event["detail-type"]) == ("healthlake-hub", "ExportCompleted")
    assert event["detail"]["published"] == 1150
    assert event["detail"]["endedAt"] == state.read_audit(NOON)["endedAt"], "what orders the outbox"
    assert state.outbox() == []


def test_an_event_that_the_bus_refuses_stays_in_the_outbox(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke(acquire_run_lock, "schedule_fired")
    invoke(advance_watermark, "run_was_reconciled")
    refusal = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    monkeypatch.setattr(aws_clients.events(), "put_events", lambda **_: refusal)

    with pytest.raises(EventsNotAccepted, match="ThrottlingException"):
        invoke(publish_run_events, "run_is_complete")

    assert len(state.outbox()) == 1


def test_a_failed_run_is_recorded_released_and_published(invoke: Invoke, state: RunState, bus: Any) -> None:
    invoke(acquire_run_lock, "schedule_fired")

    answer = invoke(clean_up_failed_run, "range_could_not_be_processed")

    assert (answer["error"], answer["outcome"]) == ("ExceedToleratedFailureThreshold", "FAILED")
    assert "byte range" in answer["cause"]
    assert state.read().owner is None
    event = bus()[0]
    assert event["detail-type"] == "ExportFailed"
    assert event["detail"]["error"] == "ExceedToleratedFailureThreshold"


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


def test_a_run_in_progress_has_an_audit_item(invoke: Invoke, state: RunState) -> None:
    run = invoke(acquire_run_lock, "schedule_fired")["run"]

    audit = state.read_audit(RunIdentity.of_execution(run["executionArn"], run["datastoreId"]))

    assert (audit["status"], audit["mode"], audit["startedAt"]) == ("RUNNING", "full", run["startedAt"])


def test_one_refused_event_does_not_hold_back_the_others(
    invoke: Invoke, state: RunState, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id, ended_at in (("z-first", "1"), ("a-second", "2"), ("m-third", "3")):
        run = RunIdentity(run_id, run_id, state.datastore_id)
        state.record_failure(run, {"status": "FAILED"}, export_failed({"runId": run_id, "endedAt": ended_at}))
    tried = []

    def refuse_the_first(Entries: Any) -> Any:  # noqa: N803 - boto3's name
        run_id = json.loads(Entries[0]["Detail"])["runId"]
        tried.append(run_id)
        refused = run_id == "z-first"
        return {
            "FailedEntryCount": int(refused),
            "Entries": [{"ErrorCode": "InternalException"} if refused else {}],
        }

    monkeypatch.setattr(aws_clients.events(), "put_events", refuse_the_first)

    with pytest.raises(EventsNotAccepted, match="z-first"):
        invoke(publish_run_events, "run_is_complete")

    assert tried == ["z-first", "a-second", "m-third"], "in the order in which the runs ended"
    assert [run_id for run_id, _ in state.outbox()] == ["z-first"]


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


def test_an_event_without_a_job_is_taken_out_of_the_check_queue(invoke: Invoke, sample_event: Any) -> None:
    record = sample_event("healthlake_export/job_reported_completed")["Records"][0]
    body = {"source": "aws.healthlake", "detail-type": "Data Store Active", "detail": {"datastoreId": "x"}}

    answer = invoke(check_export, "job_reported_completed", Records=[{**record, "body": json.dumps(body)}])

    assert answer == {"batchItemFailures": []}
