"""One export job for a run, however often the start message comes and wherever its handling breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from common import aws_clients
from healthlake_export.check_messages import CheckQueue
from healthlake_export.errors import HealthLakeBusy, HealthLakeRefused
from healthlake_export.export_start import ExportStarter, StartMessage, StartQueue
from healthlake_export.run_state import RunState


@pytest.fixture
def message(hub: Any, state: RunState, sample_event: Callable[[str], Any]) -> StartMessage:
    """The start message of a run that holds the lock."""
    record = sample_event("healthlake_export/run_waits_for_export")["Records"][0]
    message = StartMessage.from_body(json.loads(record["body"]))
    run = message.run
    state.acquire(run.run_id, run.execution_arn, now="now", stale_after="later")
    return message


@pytest.fixture
def starter(hub: Any, state: RunState, export_api: Any, callbacks: Any, clock: Any) -> Callable[[str], Any]:
    """Makes the starter of an invocation."""

    def make(invocation: str) -> ExportStarter:
        sqs = aws_clients.sqs()
        return ExportStarter(
            settings=hub.settings,
            api=export_api,
            state=state,
            callbacks=callbacks,
            checks=CheckQueue(sqs, hub.settings.check_queue_url),
            starts=StartQueue(sqs, hub.settings.start_queue_url),
            now=clock,
            invocation=invocation,
        )

    return make


def test_the_job_is_asked_for_the_runs_window_and_watched(
    starter: Any, message: StartMessage, export_api: Any, state: RunState, hub: Any
) -> None:
    starter("one").handle(message)

    request = export_api.requests[0]
    assert request.query() == "_since=2026-03-01T11%3A53%3A00.000Z"
    assert request.output_uri == "s3://hub-bucket/exports/run-of-noon"
    assert len(request.job_name) <= 64
    assert (state.read().phase, state.read().job_id) == ("EXPORTING", "job-1")
    assert state.read().requested_at == "2026-03-01T12:00:00.000Z"
    assert [check["check"]["sequence"] for check in _delayed(hub.settings.check_queue_url)] == [0]


def test_a_message_delivered_again_starts_nothing(
    starter: Any, message: StartMessage, export_api: Any
) -> None:
    starter("one").handle(message)
    starter("two").handle(message)

    assert len(export_api.requests) == 1


def test_while_one_invocation_starts_the_job_another_leaves_it_alone_and_tries_later(
    starter: Any, message: StartMessage, export_api: Any, state: RunState, hub: Any, callbacks: Any
) -> None:
    state.begin_start(
        message.run.execution_arn,
        "attempt",
        "token",
        "one",
        now=_seconds(starter),
        until=_seconds(starter) + 90,
        at="t",
    )

    starter("two").handle(message)

    assert export_api.requests == []
    assert callbacks.told == [("heartbeat", None)]
    assert [sent["delay"] for sent in _delayed(hub.settings.start_queue_url)] == [15]


def test_after_a_crash_between_the_request_and_its_record_the_job_is_found_and_not_started_again(
    starter: Any, message: StartMessage, export_api: Any, state: RunState, clock: Any
) -> None:
    one = starter("one")
    assert one._begin(message, "attempt")
    export_api.start(one._request(message.run, _job_name(message)))
    clock.now += timedelta(seconds=91)

    starter("two").handle(message)

    assert len(export_api.requests) == 1
    assert state.read().job_id == "job-1"
    assert state.read().requested_at == "2026-03-01T12:00:00.000Z", "the time of the first request"


def test_a_busy_healthlake_is_asked_again_later_with_the_wait_kept_alive(
    starter: Any, message: StartMessage, export_api: Any, state: RunState, hub: Any, callbacks: Any
) -> None:
    export_api.troubles = [HealthLakeBusy("429")]

    starter("one").handle(message)

    assert callbacks.told == [("heartbeat", None)]
    assert state.read().phase == "LOCKED"
    again = _delayed(hub.settings.start_queue_url)[0]
    starter("two").handle(StartMessage.from_body(again))
    assert state.read().job_id == "job-1"


def test_a_refusal_ends_the_wait_with_its_error(
    starter: Any, message: StartMessage, export_api: Any, callbacks: Any
) -> None:
    export_api.troubles = [HealthLakeRefused("403")]

    starter("one").handle(message)

    assert callbacks.told == [("heartbeat", None), ("fail", "HealthLakeRefused")]


def test_a_run_that_lost_the_lock_starts_nothing(
    starter: Any, message: StartMessage, export_api: Any, state: RunState, callbacks: Any
) -> None:
    state.close(message.run.identity, {"status": "FAILED"}, "{}")

    starter("one").handle(message)

    assert export_api.requests == []
    assert callbacks.told == [("fail", "RunSuperseded")]


@pytest.mark.parametrize(("status", "cancelled"), [("IN_PROGRESS", ["job-1"]), ("COMPLETED", [])])
def test_a_job_that_a_run_started_before_it_lost_the_lock_is_cancelled_unless_it_has_ended(
    starter: Any, message: StartMessage, export_api: Any, state: RunState, status: str, cancelled: list[str]
) -> None:
    one = starter("one")
    export_api.start(one._request(message.run, _job_name(message)))
    export_api.jobs["job-1"] = status
    state.close(message.run.identity, {"status": "FAILED"}, "{}")

    starter("two").handle(message)

    assert export_api.cancelled == cancelled


def test_a_run_that_loses_the_lock_while_it_starts_its_job_cancels_it(
    starter: Any, message: StartMessage, export_api: Any, state: RunState, callbacks: Any
) -> None:
    start = export_api.start

    def start_and_lose_the_lock(request: Any) -> str:
        state.close(message.run.identity, {"status": "FAILED"}, "{}")
        return cast(str, start(request))

    export_api.start = start_and_lose_the_lock

    starter("one").handle(message)

    assert export_api.cancelled == ["job-1"]
    assert callbacks.told == [("heartbeat", None), ("fail", "RunSuperseded")]


def test_a_retry_of_the_wait_takes_the_running_job_over(
    starter: Any, message: StartMessage, export_api: Any, state: RunState
) -> None:
    starter("one").handle(message)

    starter("two").handle(StartMessage(message.run, "token of the retry"))

    assert len(export_api.requests) == 1
    assert state.read().task_token == "token of the retry"
    assert state.read().sequence == 0


def test_a_late_copy_of_a_start_message_does_not_take_the_place_of_a_living_attempt(
    starter: Any, message: StartMessage, state: RunState, callbacks: Any, hub: Any
) -> None:
    starter("one").handle(message)
    callbacks.waiting = False

    starter("two").handle(StartMessage(message.run, "token of a dead attempt"))

    assert state.read().task_token == message.task_token
    assert len(_delayed(hub.settings.check_queue_url)) == 1


def test_a_start_that_nobody_waits_for_is_not_tried_again(
    starter: Any, message: StartMessage, export_api: Any, callbacks: Any, hub: Any
) -> None:
    callbacks.waiting = False

    starter("one").handle(message)

    assert export_api.requests == []
    assert _delayed(hub.settings.start_queue_url) == []


def _job_name(message: StartMessage) -> str:
    from healthlake_export.fhir_export_api import export_job_name

    return export_job_name(message.run.run_id)


def _seconds(starter: Any) -> int:
    return int(starter("clock").now().timestamp())


def _delayed(queue_url: str) -> list[Any]:
    """Bodies of all messages of a queue, whether their delay is over or not."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.sqs.models import sqs_backends

    queue = sqs_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].get_queue(queue_url.rsplit("/", 1)[-1])
    return [json.loads(message.body) for message in queue._messages]
