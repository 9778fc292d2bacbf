"""What the waiting state is told about its export job, and when the job is cancelled."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from common import aws_clients
from common.observability import metrics
from healthlake_export.check_messages import Check, CheckQueue
from healthlake_export.errors import HealthLakeBusy, HealthLakeRefused
from healthlake_export.export_watch import ExportWatcher
from healthlake_export.run_state import RunState

ME = "arn:me"
CHECK = Check(ME, "attempt", 0, 15)


@pytest.fixture
def state(exporting_run: Any) -> RunState:
    """The state of a run that exports job-1."""
    state: RunState = exporting_run(ME)
    return state


@pytest.fixture
def execution() -> SimpleNamespace:
    """The execution's status in Step Functions."""
    return SimpleNamespace(status="RUNNING")


@pytest.fixture
def watcher(
    hub: Any, state: RunState, export_api: Any, callbacks: Any, clock: Any, execution: SimpleNamespace
) -> ExportWatcher:
    export_api.jobs["job-1"] = "IN_PROGRESS"
    executions: Any = SimpleNamespace(describe_execution=lambda **_: {"status": execution.status})
    return ExportWatcher(
        settings=hub.settings,
        api=export_api,
        state=state,
        callbacks=callbacks,
        checks=CheckQueue(aws_clients.sqs(), hub.settings.check_queue_url),
        executions=executions,
        now=clock,
    )


@pytest.fixture
def next_checks(hub: Any) -> Callable[[], list[Any]]:
    """The checks that wait in the queue."""

    def read() -> list[Any]:
        name = hub.settings.check_queue_url.rsplit("/", 1)[-1]
        queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue(name)
        return [json.loads(message.body)["check"] for message in queue._messages]

    return read


def test_a_running_job_keeps_the_wait_alive_and_is_looked_at_again_later(
    watcher: ExportWatcher, callbacks: Any, next_checks: Any
) -> None:
    watcher.on_check(CHECK, "message")

    assert callbacks.told == [("heartbeat", None)]
    assert [(check["sequence"], check["delay"]) for check in next_checks()] == [(1, 22)]


@pytest.mark.parametrize("status", ["COMPLETED", "COMPLETED_WITH_ERRORS"])
def test_a_finished_job_ends_the_wait_and_the_chain(
    watcher: ExportWatcher, export_api: Any, callbacks: Any, next_checks: Any, status: str
) -> None:
    export_api.jobs["job-1"] = status

    watcher.on_check(CHECK, "message")

    output = {"jobId": "job-1", "jobStatus": status, "requestedAt": "12:00"}
    assert callbacks.told == [("succeed", output)]
    assert next_checks() == []


@pytest.mark.parametrize("status", ["FAILED", "CANCEL_COMPLETED", "CANCEL_FAILED"])
def test_a_failed_job_fails_the_wait(
    watcher: ExportWatcher, export_api: Any, callbacks: Any, next_checks: Any, status: str
) -> None:
    export_api.jobs["job-1"] = status

    watcher.on_check(CHECK, "message")

    assert callbacks.told == [("fail", "ExportFailed")]
    assert next_checks() == []


@pytest.mark.parametrize(
    "status", ["SUBMITTED", "QUEUED", "CANCEL_SUBMITTED", "CANCEL_IN_PROGRESS", "NEW_STATUS"]
)
def test_any_other_status_is_waited_out(
    watcher: ExportWatcher, export_api: Any, callbacks: Any, next_checks: Any, status: str
) -> None:
    export_api.jobs["job-1"] = status

    watcher.on_check(CHECK, "message")

    assert callbacks.told == [("heartbeat", None)]
    assert len(next_checks()) == 1


def test_a_check_delivered_twice_does_not_double_the_chain(watcher: ExportWatcher, next_checks: Any) -> None:
    watcher.on_check(CHECK, "message")
    watcher.on_check(CHECK, "copy of the message")

    assert len(next_checks()) == 1


def test_a_check_whose_handler_died_before_it_sent_the_next_one_is_done_again(
    watcher: ExportWatcher, state: RunState, next_checks: Any
) -> None:
    state.claim_check(ME, "attempt", 0, "message")

    watcher.on_check(CHECK, "message")

    assert len(next_checks()) == 1


def test_a_busy_healthlake_is_looked_at_again_later(
    watcher: ExportWatcher, export_api: Any, callbacks: Any, next_checks: Any
) -> None:
    export_api.troubles = [HealthLakeBusy("503")]

    watcher.on_check(CHECK, "message")

    assert callbacks.told == [("heartbeat", None)]
    assert len(next_checks()) == 1


def test_a_job_that_healthlake_does_not_know_fails_the_wait(
    watcher: ExportWatcher, export_api: Any, callbacks: Any
) -> None:
    export_api.troubles = [HealthLakeRefused("404")]

    watcher.on_check(CHECK, "message")

    assert callbacks.told == [("fail", "HealthLakeRefused")]


@pytest.mark.parametrize("status", ["IN_PROGRESS", "NEW_STATUS"])
def test_a_job_that_runs_too_long_fails_the_wait_whatever_its_status_is_called(
    watcher: ExportWatcher, clock: Any, export_api: Any, callbacks: Any, status: str
) -> None:
    export_api.jobs["job-1"] = status
    watcher.on_check(CHECK, "message")
    clock.now += timedelta(hours=12, seconds=1)

    watcher.on_check(Check(ME, "attempt", 1, 22), "next message")

    assert callbacks.told[-1] == ("fail", "ExportTimedOut")


def test_a_job_that_healthlake_says_nothing_of_any_more_is_waited_for_no_longer(
    watcher: ExportWatcher, clock: Any, export_api: Any, callbacks: Any
) -> None:
    export_api.jobs["job-1"] = "IN_PROGRESS"
    watcher.on_check(CHECK, "message")
    clock.now += timedelta(hours=12, seconds=1)
    export_api.troubles = [HealthLakeBusy("503")]

    watcher.on_check(Check(ME, "attempt", 1, 22), "next message")

    assert callbacks.told[-1] == ("fail", "ExportTimedOut")


def test_time_in_the_queue_does_not_count_as_running(
    watcher: ExportWatcher, clock: Any, export_api: Any, callbacks: Any
) -> None:
    export_api.jobs["job-1"] = "QUEUED"
    watcher.on_check(CHECK, "message")
    clock.now += timedelta(days=2)
    export_api.jobs["job-1"] = "IN_PROGRESS"

    watcher.on_check(Check(ME, "attempt", 1, 22), "next message")

    assert export_api.cancelled == []
    assert callbacks.told[-1] == ("heartbeat", None)


def test_healthlakes_word_of_the_job_ends_the_wait_at_once(
    watcher: ExportWatcher, export_api: Any, callbacks: Any
) -> None:
    export_api.jobs["job-1"] = "COMPLETED"

    watcher.on_job_event("job-1")

    assert [what for what, _ in callbacks.told] == ["succeed"]


def test_word_of_a_foreign_job_changes_nothing(watcher: ExportWatcher, callbacks: Any) -> None:
    watcher.on_job_event("somebody else's job")

    assert callbacks.told == []


def test_a_refused_callback_of_a_living_run_cancels_nothing(
    watcher: ExportWatcher, callbacks: Any, export_api: Any, next_checks: Any
) -> None:
    callbacks.waiting = False

    watcher.on_check(CHECK, "message")

    assert export_api.cancelled == []
    assert next_checks() == []


def test_the_job_of_an_ended_execution_is_cancelled(
    watcher: ExportWatcher, callbacks: Any, export_api: Any, execution: SimpleNamespace
) -> None:
    callbacks.waiting = False
    execution.status = "ABORTED"

    watcher.on_check(CHECK, "message")

    assert export_api.cancelled == ["job-1"]


def test_a_job_that_ended_before_its_cancellation_is_left_alone(
    watcher: ExportWatcher, callbacks: Any, export_api: Any, execution: SimpleNamespace
) -> None:
    callbacks.waiting = False
    execution.status = "ABORTED"
    describe = export_api.describe

    def ends_meanwhile(job_id: str) -> Any:
        seen = describe(job_id)
        export_api.jobs[job_id] = "COMPLETED"
        return seen

    export_api.describe = ends_meanwhile

    watcher.on_check(CHECK, "message")

    assert export_api.cancelled == []


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED"])
def test_an_ended_job_of_an_ended_execution_is_not_cancelled(
    watcher: ExportWatcher, callbacks: Any, export_api: Any, execution: SimpleNamespace, status: str
) -> None:
    callbacks.waiting = False
    execution.status = "ABORTED"
    export_api.jobs["job-1"] = status

    watcher.on_check(CHECK, "message")

    assert export_api.cancelled == []


def test_a_job_that_a_retry_took_over_is_not_cancelled_by_an_old_check(
    watcher: ExportWatcher, callbacks: Any, export_api: Any, execution: SimpleNamespace, state: RunState
) -> None:
    callbacks.waiting = False
    execution.status = "ABORTED"
    look = callbacks.heartbeat

    def taken_over_meanwhile(token: str) -> bool:
        state.adopt_job(ME, "second attempt", "second token")
        return bool(look(token))

    callbacks.heartbeat = taken_over_meanwhile

    watcher.on_check(CHECK, "message")

    assert export_api.cancelled == []


@pytest.mark.parametrize(
    ("status", "hours", "failed"), [("FAILED", 0, 1), ("IN_PROGRESS", 13, 1), ("IN_PROGRESS", 1, 0)]
)
def test_a_job_that_fails_or_runs_too_long_is_counted(
    watcher: ExportWatcher, clock: Any, export_api: Any, status: str, hours: int, failed: int
) -> None:
    watcher.on_check(CHECK, "message")
    export_api.jobs["job-1"] = status
    clock.now += timedelta(hours=hours)
    metrics().clear_metrics()

    watcher.on_check(Check(ME, "attempt", 1, 22), "next message")

    counted = metrics().metric_set.get("ExportJobsFailed", {}).get("Value", [])
    metrics().clear_metrics()
    assert sum(counted) == failed
