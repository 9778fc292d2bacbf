"""Two executions that want the same datastore: one runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event
from typing import Any

import boto3
import pytest

from common import aws_clients
from common.instants import format_instant
from healthlake_export.errors import HealthLakeBusy, RunLockHeld
from healthlake_export.ledger import Ledger
from healthlake_export.run_state import RunState
from local.testing.mocked_hub import ACCOUNT, REGION, TABLE
from local.testing.patience import PATIENCE_SECONDS

CONTENDED = ["Acquire Run Lock", "Read Run Lock", "Is The Lock Still Held?", "Ask About The Other Run"]
UNKNOWN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:workflow:long-gone"


@pytest.fixture
def hold_lock(hub: Any) -> Any:
    """Lets an execution that Step Functions does not know hold the lock since a given age."""

    def hold(age: timedelta, owner: str = UNKNOWN) -> None:
        stale_after = format_instant(datetime.now(UTC) - age + timedelta(hours=1))
        state = RunState(aws_clients.dynamodb(), TABLE, hub.datastore.datastore_id)
        state.acquire("long-gone", owner, now="2026-03-01T12:00:00.000Z", stale_after=stale_after)

    return hold


@pytest.fixture
def die(hub: Any) -> Callable[[Any], None]:
    """Stops an execution, and keeps the rule on status changes from cleaning up after it."""

    def stop(run: Any) -> None:
        clean_up = hub.bench.functions["CleanUpFailedRunFunction"]
        hub.bench.functions["CleanUpFailedRunFunction"] = lambda event, context: None
        run.stop().wait()
        hub.bench.wait_until(lambda: bool(hub.bench.calls("CleanUpFailedRunFunction")))
        hub.bench.functions["CleanUpFailedRunFunction"] = clean_up

    return stop


def queue_is_empty(url: str) -> bool:
    """Whether no message waits, is delayed or is under way."""
    answer = boto3.client("sqs", REGION).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    counts = [count for name, count in answer["Attributes"].items() if name.startswith("Approximate")]
    return set(counts) == {"0"}


def everything_in_the_table() -> list[str]:
    """Every item but the notes that say why a byte range failed, which count for nothing."""
    items = boto3.client("dynamodb", REGION).scan(TableName=TABLE, ConsistentRead=True)["Items"]
    counted = [item for item in items if not item["sk"]["S"].startswith("FAILED#")]
    return sorted(json.dumps(item, sort_keys=True) for item in counted)


def test_a_lock_taken_twice_at_once_lets_one_execution_run(hub: Any) -> None:
    hub.put(("Patient", "p1"))
    release = Event()
    plan = hub.bench.functions["PlanRangesFunction"]
    hub.bench.functions["PlanRangesFunction"] = lambda event, context: (
        release.wait(PATIENCE_SECONDS) and plan(event, context)
    )
    barrier = Barrier(2)

    def start(_: int) -> Any:
        barrier.wait()
        return hub.bench.start()

    with ThreadPoolExecutor(2) as threads:
        runs = list(threads.map(start, range(2)))
    hub.bench.wait_until(lambda: any(run.status == "SUCCEEDED" for run in runs))
    release.set()

    outcomes = sorted(run.wait().path[-1] for run in runs)
    assert outcomes == ["Export Already Running", "Export Completed"]
    loser = next(run for run in runs if run.path[-1] == "Export Already Running")
    winner = next(run for run in runs if run is not loser)
    covered = ["Is The Other Run Alive?", "Does It Cover This One?", "Export Already Running"]
    assert loser.path == [*CONTENDED, *covered]
    assert loser.output == {
        "runId": loser.name,
        "status": "ALREADY_RUNNING",
        "owner": winner.arn,
        "ownerStatus": "RUNNING",
    }
    assert hub.jobs() == ["COMPLETED"]


def test_the_lock_of_a_dead_run_is_taken_over_after_its_job_was_cancelled(
    hub: Any, die: Any, cancelled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = hub.bench.functions["CheckExportFunction"]
    hub.bench.functions["CheckExportFunction"] = lambda event, context: {"batchItemFailures": []}
    acquire, cancelled_before = RunState.acquire, []

    def acquire_and_note(*args: Any, **kwargs: Any) -> bool:
        cancelled_before.append(len(cancelled))
        if len(cancelled_before) == 3:
            hub.bench.functions["CheckExportFunction"] = check
        return acquire(*args, **kwargs)

    monkeypatch.setattr(RunState, "acquire", acquire_and_note)
    hub.put(("Patient", "p1"))
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    dead = hub.bench.start()
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")
    die(dead)

    run = hub.run()

    assert cancelled_before == [0, 0, 1], "of the dead run, of the one that found the lock taken, and again"
    assert run.status == "SUCCEEDED", run.cause
    assert run.path[:7] == [
        *CONTENDED,
        "Is The Other Run Alive?",
        "Clean Up The Dead Run",
        "Acquire Run Lock",
    ]
    assert hub.jobs()[0].startswith("CANCEL")
    assert [event["error"] for event in hub.run_events("ExportFailed")] == ["RunAbandoned"]


LATE_WRITES = {
    "ledger": ("ProcessRangeFunction", Ledger, "write", ["COMPLETED", "COMPLETED"]),
    "watermark": ("AdvanceWatermarkFunction", RunState, "close", ["COMPLETED", "COMPLETED"]),
    "start": ("StartExportFunction", RunState, "begin_start", ["COMPLETED"]),
    "record of the job": ("StartExportFunction", RunState, "record_job", ["CANCEL_COMPLETED", "COMPLETED"]),
}


@pytest.mark.parametrize("late", LATE_WRITES)
def test_a_late_write_of_a_dead_run_whose_lock_was_taken_over_is_refused(
    hub: Any, gate: Any, die: Any, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    function, owner, method, jobs = LATE_WRITES[late]
    hub.put(("Patient", "p1"))
    hub.bench.connect_queue(hub.queues.start, "StartExportFunction", batch_size=1)
    write, held = getattr(owner, method), gate()
    if jobs[0] == "CANCEL_COMPLETED":
        hub.healthlake.faults.hold_next_job("IN_PROGRESS")

    def write_late(*args: Any, **kwargs: Any) -> Any:
        held.hold_first()
        return write(*args, **kwargs)

    monkeypatch.setattr(owner, method, write_late)
    dead = hub.bench.start()
    assert held.reached.wait(PATIENCE_SECONDS)
    die(dead)
    run = hub.run()
    assert run.status == "SUCCEEDED", run.cause
    left = everything_in_the_table()
    done = len(hub.bench.calls(function))

    held.opened.set()
    hub.bench.wait_until(lambda: len(hub.bench.calls(function)) > done)
    hub.bench.wait_until(lambda: queue_is_empty(hub.queues.start))

    assert everything_in_the_table() == left
    assert hub.jobs() == jobs
    assert hub.state.watermark == run.output["watermark"]


@pytest.mark.parametrize("other", ["runs", "has completed"])
def test_a_redriven_execution_whose_lock_was_taken_over_ends_as_superseded(
    hub: Any, gate: Any, die: Any, other: str
) -> None:
    hub.put(("Patient", "p1"))
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    dead, rest = hub.bench.start(), gate()
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")
    die(dead)
    plan = hub.bench.functions["PlanRangesFunction"]
    hub.bench.functions["PlanRangesFunction"] = lambda event, context: (rest.hold(), plan(event, context))[1]
    run = hub.bench.start()
    assert rest.reached.wait(PATIENCE_SECONDS), run.path
    if other == "has completed":
        rest.opened.set()
        run.wait()

    dead.redrive().wait()
    rest.opened.set()

    assert dead.status == "SUCCEEDED", dead.cause
    assert dead.path[-3:] == ["Clean Up Failed Run", "How Did The Run End?", "Superseded"]
    assert dead.output == {"runId": dead.name, "status": "SUPERSEDED"}
    assert run.wait().status == "SUCCEEDED", run.cause
    assert [job.startswith("CANCEL") for job in hub.jobs()] == [True, False]
    assert hub.state.watermark == run.output["watermark"]


def test_an_execution_redriven_before_anybody_took_its_lock_goes_on_with_its_job(hub: Any, die: Any) -> None:
    """Nor has anybody looked for the execution while it was dead: its job would be cancelled."""
    check, redriven = hub.bench.functions["CheckExportFunction"], Event()
    hub.bench.functions["CheckExportFunction"] = lambda *given: (
        redriven.wait(PATIENCE_SECONDS) and check(*given)
    )
    hub.put(("Patient", "p1"))
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")
    die(run)

    run.redrive()
    hub.bench.wait_until(lambda: len(hub.bench.calls("StartExportFunction")) == 2)
    redriven.set()
    hub.healthlake.service.exports.release()

    assert run.wait().status == "SUCCEEDED", run.cause
    assert hub.jobs() == ["COMPLETED"]


def test_an_owner_that_step_functions_does_not_know_yet_is_taken_for_running(
    hub: Any, hold_lock: Any
) -> None:
    hold_lock(timedelta(seconds=5))

    run = hub.run()

    assert run.path == [
        *CONTENDED,
        "Is The Unknown Owner Stale?",
        "Take It For Running",
        "Does It Cover This One?",
        "Export Already Running",
    ]
    assert run.output["owner"] == UNKNOWN


def test_an_owner_that_step_functions_no_longer_knows_is_taken_over_after_an_hour(
    hub: Any, hold_lock: Any
) -> None:
    hold_lock(timedelta(hours=2))
    hub.put(("Patient", "p1"))

    run = hub.run()

    assert run.path[4:7] == ["Is The Unknown Owner Stale?", "Clean Up The Dead Run", "Acquire Run Lock"]
    assert run.path[-1] == "Export Completed"


def test_an_owner_that_may_not_be_asked_about_is_as_good_as_unknown(hub: Any, hold_lock: Any) -> None:
    hold_lock(timedelta(seconds=5), "arn:aws:states:eu-west-1:999999999999:execution:foreign:run")

    run = hub.run()

    assert run.path[-4:] == [
        "Is The Unknown Owner Stale?",
        "Take It For Running",
        "Does It Cover This One?",
        "Export Already Running",
    ]


def test_a_lock_released_between_refusal_and_question_is_taken(hub: Any, failing: Any) -> None:
    acquire = hub.bench.functions["AcquireRunLockFunction"]
    hub.bench.functions["AcquireRunLockFunction"] = failing(RunLockHeld("held"), then=acquire)

    run = hub.run()

    assert run.path[:4] == [
        "Acquire Run Lock",
        "Read Run Lock",
        "Is The Lock Still Held?",
        "Acquire Run Lock",
    ]
    assert run.status == "SUCCEEDED"


def test_a_dead_run_that_cannot_be_cleaned_up_fails_the_run_that_wants_the_lock(
    hub: Any, hold_lock: Any, failing: Any
) -> None:
    hold_lock(timedelta(hours=2))
    clean_up = hub.bench.functions["CleanUpFailedRunFunction"]
    errors = [HealthLakeBusy("HealthLake answered DELETE export with 503.")] * 9
    hub.bench.functions["CleanUpFailedRunFunction"] = failing(*errors, then=clean_up)

    run = hub.run()

    assert (run.status, run.error) == ("FAILED", "HealthLakeBusy")
    assert run.path[-3:] == ["Clean Up Failed Run", "How Did The Run End?", "Export Failed"]
    assert hub.state.owner == UNKNOWN, "the dead run keeps the lock until it has been cleaned up"
    assert [event["runId"] for event in hub.run_events("ExportFailed")] == [run.name]
