"""A start message delivered twice, or to a process that dies: one HealthLake job in all."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from healthlake_export.check_messages import CheckQueue
from healthlake_export.fhir_export_api import FhirExportApi
from healthlake_export.run_state import RunState
from local.testing.patience import PATIENCE_SECONDS

LONGER_THAN_A_START_MAY_TAKE = timedelta(seconds=91)


@pytest.fixture(autouse=True)
def _patient(hub: Any) -> None:
    """Something to export."""
    hub.put(("Patient", "p1"))


def assert_one_job_in_all(hub: Any, run: Any) -> None:
    assert run.status == "SUCCEEDED", run.cause
    assert run.output["published"] == 1
    assert hub.jobs() == ["COMPLETED"]


def delivered(hub: Any) -> list[Any]:
    """Messages of the check queue that the check function was called with."""
    return [record for call in hub.bench.calls("CheckExportFunction") for record in call.event["Records"]]


def test_a_start_message_delivered_twice_at_once_starts_one_job(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = hub.bench.functions["StartExportFunction"]
    begin, barrier = RunState.begin_start, Barrier(2)
    begun: list[bool] = []

    def begin_together(*args: Any, **kwargs: Any) -> bool:
        if len(begun) < 2:
            barrier.wait(PATIENCE_SECONDS)
        begun.append(begin(*args, **kwargs))
        return begun[-1]

    def deliver_twice(event: Any, context: Any) -> Any:
        hub.bench.functions["StartExportFunction"] = start
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda _: start(event, context), range(2)))
        return answers[0]

    monkeypatch.setattr(RunState, "begin_start", begin_together)
    hub.bench.functions["StartExportFunction"] = deliver_twice

    run = hub.run()

    assert sorted(begun[:2]) == [False, True]
    assert_one_job_in_all(hub, run)


def test_a_crash_before_the_request_is_made_up_for_once_the_start_has_expired(
    hub: Any, crash: Any, clock: Any
) -> None:
    crash("StartExportFunction", FhirExportApi, "start", when="before")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: bool(hub.bench.calls("StartExportFunction")))
    requested_at = hub.state.requested_at
    assert hub.jobs() == []

    clock.advance(LONGER_THAN_A_START_MAY_TAKE)

    assert_one_job_in_all(hub, run.wait())
    assert run.output["watermark"] == requested_at, "the time of the first try"


def test_a_job_whose_id_died_with_the_process_that_started_it_is_found_and_not_started_again(
    hub: Any, crash: Any, clock: Any
) -> None:
    crash("StartExportFunction", FhirExportApi, "start", when="after")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: bool(hub.bench.calls("StartExportFunction")))
    requested_at = hub.state.requested_at
    assert (hub.state.phase, hub.state.job_id, len(hub.jobs())) == ("STARTING", None, 1)

    clock.advance(LONGER_THAN_A_START_MAY_TAKE)

    assert_one_job_in_all(hub, run.wait())
    assert run.output["watermark"] == requested_at, "the time of the first try"


def test_a_crash_after_the_record_of_the_job_leaves_the_first_check_to_the_next_delivery(
    hub: Any, crash: Any
) -> None:
    crash("StartExportFunction", CheckQueue, "send", when="before")
    hub.healthlake.faults.drop_events(10)

    assert_one_job_in_all(hub, hub.run())


def test_a_first_check_sent_right_before_a_crash_is_not_doubled_by_the_next_delivery(
    hub: Any, crash: Any
) -> None:
    crash("StartExportFunction", CheckQueue, "send", when="after")
    hub.healthlake.faults.drop_events(10)
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")

    run = hub.bench.start()
    hub.bench.wait_until(lambda: hub.state.sequence == 4)
    hub.healthlake.service.exports.release()

    assert_one_job_in_all(hub, run.wait())
    looked = [json.loads(record["body"])["check"]["sequence"] for record in delivered(hub)]
    assert sorted(set(looked)) == list(range(max(looked) + 1))
    assert looked.count(0) == 2, "the first check was sent twice"
    assert len(looked) == max(looked) + 2, "and the copy led to no second chain"


def test_a_start_that_dies_while_it_gives_up_on_a_busy_healthlake_is_made_up_for(
    hub: Any, crash: Any, clock: Any
) -> None:
    hub.healthlake.faults.throttle(1, "StartFHIRExportJobWithPost")
    crash("StartExportFunction", RunState, "give_up_start", when="before")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: bool(hub.bench.calls("StartExportFunction")))

    clock.advance(LONGER_THAN_A_START_MAY_TAKE)

    assert_one_job_in_all(hub, run.wait())
