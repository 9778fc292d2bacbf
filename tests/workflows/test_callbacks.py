"""Two ways to the end of the wait, polls and HealthLake's events, at once, alone, or too late."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from healthlake_export.export_watch import ExportWatcher
from healthlake_export.fhir_export_api import FhirExportApi
from local.testing.moments import Gate
from local.testing.patience import PATIENCE_SECONDS

LONGER_THAN_AN_EXPORT_MAY_RUN = timedelta(hours=13)


@pytest.fixture(autouse=True)
def _patient(hub: Any) -> None:
    """Something to export."""
    hub.put(("Patient", "p1"))


@pytest.fixture
def held_look(hub: Any, gate: Callable[[], Gate], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Gate]:
    """Holds a look at the job between HealthLake's answer and what follows from it: the first look by
    polling (`on_check`) or on an event (`on_job_event`). Checks and events go on in other invocations."""

    def arrange(way: str) -> Gate:
        held, looking = gate(), threading.local()
        enter, describe = getattr(ExportWatcher, way), FhirExportApi.describe

        def enter_and_say_so(*args: Any) -> None:
            looking.this_way = True
            try:
                enter(*args)
            finally:
                looking.this_way = False

        def describe_and_wait(api: FhirExportApi, job_id: str) -> Any:
            job = describe(api, job_id)
            if getattr(looking, "this_way", False):
                held.hold_first()
            return job

        monkeypatch.setattr(ExportWatcher, way, enter_and_say_so)
        monkeypatch.setattr(FhirExportApi, "describe", describe_and_wait)
        hub.bench.connect_queue(hub.queues.check, "CheckExportFunction", batch_size=1)
        return held

    return arrange


def export_under_way(hub: Any) -> Any:
    """A run whose job is watched and held in progress."""
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")
    return run


def checks(hub: Any) -> list[Any]:
    calls: list[Any] = hub.bench.calls("CheckExportFunction")
    return calls


def checks_done(hub: Any) -> int:
    return len(checks(hub))


def job_events_handled(hub: Any) -> list[tuple[str, str]]:
    """Detail-type and job of HealthLake's events that the check function was called with."""
    bodies = [json.loads(call.event["Records"][0]["body"]) for call in checks(hub)]
    return [(body["detail-type"], body["detail"]["jobId"]) for body in bodies if "detail" in body]


def run_job(hub: Any) -> str:
    [job] = hub.healthlake.service.exports.jobs(hub.datastore.datastore_id)
    return str(job.job_id)


@pytest.mark.parametrize("has_ended", [False, True], ids=["run goes on", "run has ended"])
def test_a_wait_that_an_event_ends_while_a_poll_is_under_way_ends_once(
    hub: Any, held_look: Any, gate: Any, cancelled: list[str], has_ended: bool
) -> None:
    hub.healthlake.faults.drop_events(1, "Export Job In Progress")
    poll, rest_of_the_run = held_look("on_check"), gate()
    plan = hub.bench.functions["PlanRangesFunction"]
    hub.bench.functions["PlanRangesFunction"] = lambda event, context: (
        has_ended or rest_of_the_run.hold(),
        plan(event, context),
    )[1]
    run = export_under_way(hub)
    assert poll.reached.wait(PATIENCE_SECONDS), "a poll has seen the job in progress"

    hub.healthlake.service.exports.release()
    if has_ended:
        run.wait()
    else:
        assert rest_of_the_run.reached.wait(PATIENCE_SECONDS)
    done = checks_done(hub)
    poll.opened.set()
    hub.bench.wait_until(lambda: checks_done(hub) > done)
    rest_of_the_run.opened.set()

    assert run.wait().status == "SUCCEEDED", run.cause
    assert run.path.count("Plan Ranges") == 1
    assert all(call.error is None and call.result == {"batchItemFailures": []} for call in checks(hub))
    assert (hub.jobs(), cancelled) == (["COMPLETED"], [])


def test_a_wait_that_a_poll_ends_while_an_event_is_under_way_ends_once(
    hub: Any, held_look: Any, cancelled: list[str]
) -> None:
    hub.healthlake.faults.drop_events(1, "Export Job In Progress")
    event = held_look("on_job_event")
    run = export_under_way(hub)
    hub.healthlake.service.exports.release()
    assert event.reached.wait(PATIENCE_SECONDS), "the event's look has seen the job completed"

    assert run.wait().status == "SUCCEEDED", run.cause
    done = checks_done(hub)
    event.opened.set()
    hub.bench.wait_until(lambda: checks_done(hub) > done)

    assert all(call.error is None and call.result == {"batchItemFailures": []} for call in checks(hub))
    assert (hub.jobs(), cancelled) == (["COMPLETED"], [])


def test_the_end_of_a_foreign_job_ends_no_wait(hub: Any, seen: list[str]) -> None:
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    foreign = hub.fhir.start_export(JobName="nightly-backup").document["jobId"]
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: "QUEUED" in seen)

    hub.healthlake.service.exports.release(foreign)
    hub.bench.wait_until(lambda: ("Export Job Completed", foreign) in job_events_handled(hub))
    hub.bench.wait_until(lambda: seen.count("IN_PROGRESS") >= 2)
    assert run.path[-1] == "Wait For Export"
    hub.healthlake.service.exports.release()

    assert run.wait().status == "SUCCEEDED", run.cause
    assert run.output["jobId"] != foreign
    assert hub.jobs() == ["COMPLETED", "COMPLETED"]


def test_a_poll_that_a_retry_of_the_wait_has_overtaken_cancels_nothing(
    hub: Any, held_look: Any, cancelled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.healthlake.faults.drop_events(10)
    poll, sqs = held_look("on_check"), hub.bench.client("sqs")
    send = sqs.send_message

    def send_and_lose_the_answer(**request: Any) -> Any:
        monkeypatch.setattr(sqs, "send_message", send)
        send(**request)
        assert poll.reached.wait(PATIENCE_SECONDS), "the first attempt's job is being polled"
        raise ReadTimeoutError(endpoint_url="https://sqs.us-east-1.amazonaws.com/")

    monkeypatch.setattr(sqs, "send_message", send_and_lose_the_answer)
    run = export_under_way(hub)
    first_attempt = hub.state.attempt
    hub.bench.wait_until(lambda: hub.state.attempt != first_attempt)

    done = checks_done(hub)
    poll.opened.set()
    hub.bench.wait_until(lambda: checks_done(hub) >= done + 2)
    hub.healthlake.service.exports.release()

    assert run.wait().status == "SUCCEEDED", run.cause
    assert (hub.jobs(), cancelled) == (["COMPLETED"], [])
    assert len(hub.bench.calls("StartExportFunction")) == 2


def test_an_export_that_runs_too_long_is_cancelled_and_the_run_says_so(
    hub: Any, clock: Any, cancelled: list[str]
) -> None:
    run = export_under_way(hub)
    hub.bench.wait_until(lambda: hub.state.running_since is not None)

    clock.advance(LONGER_THAN_AN_EXPORT_MAY_RUN)
    run.wait()

    assert (run.status, run.error) == ("FAILED", "ExportTimedOut")
    assert run.cause == f"Export job {run_job(hub)} ran for more than 12 hours."
    assert cancelled == [run_job(hub)]
    assert hub.jobs()[0].startswith("CANCEL")
    assert [event["cause"] for event in hub.run_events("ExportFailed")] == [run.cause]
    assert (hub.state.owner, hub.state.watermark) == (None, None)


def test_time_that_a_job_is_queued_does_not_count_as_running(hub: Any, clock: Any, seen: list[str]) -> None:
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    hub.fhir.start_export(JobName="nightly-backup")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: seen.count("QUEUED") >= 2)

    clock.advance(LONGER_THAN_AN_EXPORT_MAY_RUN)
    queued = len(seen)
    hub.bench.wait_until(lambda: len(seen) >= queued + 2)
    hub.healthlake.service.exports.release()

    assert run.wait().status == "SUCCEEDED", run.cause
