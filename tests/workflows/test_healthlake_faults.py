"""HealthLake throttles, is busy, is down, answers rubbish, or has a job in any status that its API knows.

Jobs that end as COMPLETED, COMPLETED_WITH_ERRORS and FAILED are part of the other workflow tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.stepfunctions.pace import Pace
from local.testing.export_hub import ExportHub

START = "StartFHIRExportJobWithPost"
DESCRIBE = "DescribeFHIRExportJobWithGet"
CANCEL = "CancelFHIRExportJobWithDelete"
RUBBISH = [
    (200, "<html><body>Service Unavailable</body></html>"),
    (200, ""),
    (200, "null"),
    (200, '["a list"]'),
    (200, '{"jobId": "cut off'),
    (200, '{"resourceType": "Patient", "id": "p1"}'),
    (502, "<html><body>Bad Gateway</body></html>"),
]
HEARTBEAT_SECONDS = 3600


@pytest.fixture
def hub(hub: ExportHub) -> ExportHub:
    """A hub with something to export."""
    hub.put(("Patient", "p1"))
    return hub


@pytest.fixture
def hurried_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExportHub]:
    """A hub with something to export, on which a minute of delays takes six milliseconds."""
    with ExportHub(monkeypatch, pace=Pace(delays=0.0001)) as hub:
        hub.put(("Patient", "p1"))
        yield hub


def listen(hub: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seconds between heartbeats of the wait, as the delays of queued messages count them."""
    beats, beat = [0], hub.bench.engine.beat_task
    silences: list[int] = []

    def note(token: str) -> None:
        beat(token)
        now = sum(hub.bench.queue_delays)
        silences.append(now - beats[-1])
        beats.append(now)

    monkeypatch.setattr(hub.bench.engine, "beat_task", note)
    return silences


@pytest.fixture
def silences(hub: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seconds between heartbeats of the hub's wait."""
    return listen(hub, monkeypatch)


def assert_it_completes(hub: Any, run: Any) -> None:
    assert run.status == "SUCCEEDED", run.cause
    assert run.output["published"] == 1
    assert hub.jobs() == ["COMPLETED"]


def hold_a_foreign_job(hub: Any) -> str:
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    return str(hub.fhir.start_export(JobName="nightly-backup").document["jobId"])


def own_job(hub: Any) -> str:
    return str(hub.healthlake.service.exports.jobs(hub.datastore.datastore_id)[-1].job_id)


def test_throttled_looks_are_waited_out(hub: Any, silences: list[int]) -> None:
    hub.healthlake.faults.throttle(4, DESCRIBE)

    assert_it_completes(hub, hub.run())
    assert len(silences) >= 3


def test_a_throttled_cancellation_is_tried_until_the_job_is_cancelled(hub: Any, cancelled: list[str]) -> None:
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    hub.healthlake.faults.refuse(1, 403, "AccessDeniedException", DESCRIBE)
    hub.healthlake.faults.throttle(3, CANCEL)

    run = hub.run()

    assert (run.status, run.error) == ("FAILED", "HealthLakeRefused")
    assert cancelled == [own_job(hub)] * 4
    assert hub.jobs()[0].startswith("CANCEL")
    assert hub.state.owner is None


def test_a_job_that_is_queued_behind_another_export_is_waited_for(
    hub: Any, seen: list[str], silences: list[int]
) -> None:
    foreign = hold_a_foreign_job(hub)
    run = hub.bench.start()
    hub.bench.wait_until(lambda: seen.count("QUEUED") >= 3)
    hub.healthlake.service.exports.release(foreign)

    assert run.wait().status == "SUCCEEDED", run.cause
    assert len(silences) >= 3
    assert hub.jobs() == ["COMPLETED", "COMPLETED"]


def test_a_datastore_that_an_import_keeps_busy_is_asked_again(hub: Any, silences: list[int]) -> None:
    hub.healthlake.faults.refuse(3, 409, "ConflictException", START)

    assert_it_completes(hub, hub.run())
    assert len(hub.bench.calls("StartExportFunction")) == 4
    assert len(silences) >= 4


@pytest.mark.parametrize("action", [START, DESCRIBE])
def test_a_healthlake_that_is_down_for_an_hour_is_waited_out(
    hurried_hub: Any, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    hub, silences = hurried_hub, listen(hurried_hub, monkeypatch)
    hub.healthlake.faults.drop_events(10)
    hub.healthlake.faults.refuse(20, 503, "ServiceUnavailable", action)

    assert_it_completes(hub, hub.run())
    assert sum(silences) > HEARTBEAT_SECONDS
    assert max(silences) <= 300, "a heartbeat with every try"


def test_a_start_that_healthlake_did_and_answered_with_an_error_is_not_made_twice(hub: Any) -> None:
    hub.healthlake.faults.answer(1, 503, "", START, performed=True)

    assert_it_completes(hub, hub.run())


def test_an_accepted_start_without_a_job_id_is_looked_for_before_another_is_made(hub: Any) -> None:
    answer = json.dumps({"datastoreId": hub.datastore.datastore_id, "jobStatus": "SUBMITTED"})
    hub.healthlake.faults.answer(1, 200, answer, START, performed=True)

    assert_it_completes(hub, hub.run())


def test_rubbish_in_answer_to_the_start_and_to_searches_for_its_job_is_asked_again(hurried_hub: Any) -> None:
    hub = hurried_hub
    for status, body in RUBBISH:
        hub.healthlake.faults.answer(1, status, body, START)
        if status == 200:
            hub.healthlake.faults.answer(1, status, body, "ListFHIRExportJobs")
    hub.healthlake.faults.answer(1, 200, "<html>", START, performed=True)

    assert_it_completes(hub, hub.run())
    assert all(call.result == {"batchItemFailures": []} for call in hub.bench.calls("StartExportFunction"))
    assert hub.healthlake.faults.waiting()["stand_ins"] == []


def test_rubbish_in_answer_to_a_look_is_looked_at_again(hub: Any) -> None:
    hub.healthlake.faults.drop_events(10)
    for status, body in [*RUBBISH, (200, '{"exportJobProperties": {"jobStatus": 7}}')]:
        hub.healthlake.faults.answer(1, status, body, DESCRIBE)

    assert_it_completes(hub, hub.run())
    assert all(call.result == {"batchItemFailures": []} for call in hub.bench.calls("CheckExportFunction"))


def test_rubbish_in_place_of_the_manifest_is_asked_for_again(hub: Any) -> None:
    hub.healthlake.faults.drop_events(10)
    plan = hub.bench.functions["PlanRangesFunction"]

    def plan_amid_rubbish(event: Any, context: Any) -> Any:
        if len(hub.bench.calls("PlanRangesFunction")) < len(RUBBISH):
            hub.healthlake.faults.answer(1, *RUBBISH[len(hub.bench.calls("PlanRangesFunction"))], DESCRIBE)
        return plan(event, context)

    hub.bench.functions["PlanRangesFunction"] = plan_amid_rubbish

    assert_it_completes(hub, hub.run())
    assert len(hub.bench.calls("PlanRangesFunction")) == len(RUBBISH) + 1


def test_a_job_is_waited_for_in_every_status_that_is_no_end_and_in_one_that_nobody_knows(
    hub: Any, seen: list[str], silences: list[int]
) -> None:
    hub.healthlake.faults.drop_events(10)
    on_the_way = ["SUBMITTED", "QUEUED", "IN_PROGRESS", "CANCEL_SUBMITTED", "CANCEL_IN_PROGRESS", "PAUSED"]
    for status in on_the_way:
        answer = json.dumps({"exportJobProperties": {"jobStatus": status}})
        hub.healthlake.faults.answer(1, 202, answer, DESCRIBE)

    assert_it_completes(hub, hub.run())
    assert [status for status in seen if status != "COMPLETED"] == on_the_way
    assert len(silences) > len(on_the_way)


def test_a_job_that_somebody_cancels_is_waited_for_and_then_fails_the_run(hub: Any, seen: list[str]) -> None:
    hub.healthlake.faults.hold_next_job("CANCEL_IN_PROGRESS")
    hub.healthlake.faults.slow_next_job(30)
    run = hub.bench.start()
    hub.bench.wait_until(lambda: "IN_PROGRESS" in seen)
    hub.fhir.send("DELETE", f"export/{own_job(hub)}")
    hub.bench.wait_until(lambda: seen.count("CANCEL_IN_PROGRESS") >= 2)
    assert run.path[-1] == "Wait For Export"
    hub.healthlake.service.exports.release()

    assert run.wait().error == "ExportFailed"
    assert run.cause == f"HealthLake ended export job {own_job(hub)} as CANCEL_COMPLETED."


def test_a_job_whose_cancellation_failed_fails_the_run_which_says_so(hub: Any, seen: list[str]) -> None:
    hub.healthlake.faults.slow_next_job(30)
    hub.healthlake.faults.fail_next_cancel()
    run = hub.bench.start()
    hub.bench.wait_until(lambda: "IN_PROGRESS" in seen)
    hub.fhir.send("DELETE", f"export/{own_job(hub)}")

    assert run.wait().error == "ExportFailed"
    assert run.cause == f"HealthLake ended export job {own_job(hub)} as CANCEL_FAILED."
    assert hub.state.owner is None
