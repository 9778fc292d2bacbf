"""Timeouts, waits, retry intervals: "Handling errors in Step Functions workflows", "Task workflow state"."""

from __future__ import annotations

import datetime
import json
import random
import threading
import time
from typing import Any

import pytest

from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Run, Workbench
from local.testing.held_calls import released

INSTANT = Pace(delays=0.0, timeouts=0.05)
HOURS = 3600
# Far above what anything here takes, and far below what it would take to sit out the hours above.
A_HANG = 60


class DatastoreBusy(Exception):
    pass


def busy(event: Any, context: Any) -> None:
    raise DatastoreBusy("busy")


def task(**fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "f", "Payload.$": "$"},
        "End": True,
        **fields,
    }


def retrying(**fields: Any) -> dict[str, Any]:
    retrier = {"ErrorEquals": ["DatastoreBusy"], **fields}
    return {"StartAt": "First", "States": {"First": task(Retry=[retrier])}}


def run(definition: dict[str, Any], pace: Pace = INSTANT, **functions: Any) -> Run:
    with Workbench(definition, {}, functions, pace=pace) as bench:
        return bench.start().wait(A_HANG)


def intervals(done: Run) -> list[float]:
    return [delay.seconds for delay in done.delays if delay.reason == "retry"]


def test_retry_intervals_grow_by_the_backoff_rate_from_the_first_interval() -> None:
    definition = retrying(IntervalSeconds=10, BackoffRate=3, MaxAttempts=4)
    assert intervals(run(definition, f=busy)) == [10, 30, 90, 270]


def test_retry_intervals_default_to_one_second_doubled_three_times() -> None:
    assert intervals(run(retrying(), f=busy)) == [1, 2, 4]


def test_no_attempts_means_no_retry() -> None:
    assert intervals(run(retrying(MaxAttempts=0), f=busy)) == []


def test_max_delay_seconds_caps_the_interval() -> None:
    definition = retrying(IntervalSeconds=10, BackoffRate=3, MaxAttempts=4, MaxDelaySeconds=45)
    assert intervals(run(definition, f=busy)) == [10, 30, 45, 45]


def test_full_jitter_draws_between_zero_and_the_interval() -> None:
    definition = retrying(
        IntervalSeconds=10, BackoffRate=2, MaxAttempts=6, MaxDelaySeconds=60, JitterStrategy="FULL"
    )
    pace = Pace(delays=0.0, jitter=random.Random(7).uniform)
    done = run(definition, pace, f=busy)
    assert [delay.ceiling for delay in done.delays] == [10, 20, 40, 60, 60, 60]
    assert all(0 <= delay.seconds <= delay.ceiling for delay in done.delays)
    assert len({delay.seconds for delay in done.delays}) == 6


def test_each_visit_of_a_state_has_all_its_attempts() -> None:
    definition = retrying(MaxAttempts=1)
    definition["States"]["First"] |= {
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "Again?"}],
    }
    definition["States"]["Again?"] = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.again", "IsPresent": True, "Next": "Done"}],
        "Default": "Again",
    }
    definition["States"]["Again"] = {"Type": "Pass", "Result": 1, "ResultPath": "$.again", "Next": "First"}
    definition["States"]["Done"] = {"Type": "Succeed"}
    assert intervals(run(definition, f=busy)) == [1, 1]


def test_a_task_over_its_timeout_fails_with_timeout(held: threading.Event) -> None:
    definition = {"StartAt": "First", "States": {"First": task(TimeoutSeconds=1)}}
    with (
        Workbench(definition, {}, {"f": lambda event, context: held.wait()}, pace=INSTANT) as bench,
        released(held),
    ):
        done = bench.start().wait(A_HANG)
    assert (done.status, done.error) == ("FAILED", "States.Timeout")
    assert "TaskTimedOut" in [event["type"] for event in done.history]


def test_a_task_that_finishes_late_leaves_no_trace_in_the_history(held: threading.Event) -> None:
    catch = [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.e", "Next": "Let It Finish"}]
    finish = {"FunctionName": "let-it-finish", "Payload.$": "$"}
    states = {
        "First": task(TimeoutSeconds=1, Catch=catch),
        "Let It Finish": task(Parameters=finish, ResultPath=None),
    }

    def late(event: Any, context: Any) -> str:
        held.wait()
        return "late"

    def let_it_finish(event: Any, context: Any) -> None:
        held.set()
        bench.wait_until(lambda: len(bench.calls("f")) == 1, timeout=A_HANG)

    functions = {"f": late, "let-it-finish": let_it_finish}
    with Workbench({"StartAt": "First", "States": states}, {}, functions, pace=INSTANT) as bench:
        done = bench.start().wait(A_HANG)
        assert done.status == "SUCCEEDED"
        assert [event["type"] for event in done.history].count("TaskSucceeded") == 1
        assert "late" not in json.dumps(done.history, default=str).replace("let-it", "")


def test_a_timeout_is_taken_from_a_path(held: threading.Event) -> None:
    definition = {"StartAt": "First", "States": {"First": task(TimeoutSecondsPath="$.seconds")}}
    with (
        Workbench(definition, {}, {"f": lambda event, context: held.wait()}, pace=INSTANT) as bench,
        released(held),
    ):
        assert bench.start({"seconds": 1}).wait(A_HANG).error == "States.Timeout"


def test_an_execution_over_its_timeout_is_timed_out_with_its_map_children(held: threading.Event) -> None:
    definition = {
        "StartAt": "Each",
        "TimeoutSeconds": 20,
        "States": {
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "End": True,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "Hold",
                    "States": {"Hold": task()},
                },
            }
        },
    }
    with (
        Workbench(definition, {}, {"f": lambda event, context: held.wait()}, pace=INSTANT) as bench,
        released(held),
    ):
        done = bench.start({"items": [1, 2]}).wait(A_HANG)
        assert done.status == "TIMED_OUT"
        assert done.history[-1]["type"] == "ExecutionTimedOut"
        assert [child.wait(A_HANG).status for child in done.children] == ["ABORTED", "ABORTED"]


def test_a_stop_does_not_wait_for_a_retry_interval() -> None:
    definition = retrying(IntervalSeconds=HOURS)
    with Workbench(definition, {}, {"f": busy}) as bench:
        run = bench.start()
        bench.wait_until(lambda: len(run.delays) == 1)
        assert run.stop().wait(A_HANG).status == "ABORTED"
        assert len(bench.invocations) == 1


def test_a_stop_does_not_wait_for_a_task_that_runs(held: threading.Event) -> None:
    entered = threading.Event()

    def hold(event: Any, context: Any) -> None:
        entered.set()
        held.wait()

    with (
        Workbench({"StartAt": "First", "States": {"First": task()}}, {}, {"f": hold}) as bench,
        released(held),
    ):
        run = bench.start()
        assert entered.wait(A_HANG)
        assert run.stop("Stopped").wait(A_HANG).error == "Stopped"
        assert not held.is_set()
        assert run.history[-1]["type"] == "ExecutionAborted"


def test_a_wait_is_recorded_and_dated_as_it_was_asked_for() -> None:
    states = {
        "Wait": {"Type": "Wait", "Seconds": HOURS, "Next": "Done"},
        "Done": {"Type": "Succeed"},
    }
    done = run({"StartAt": "Wait", "States": states})
    assert [(delay.reason, delay.seconds) for delay in done.delays] == [("wait", HOURS)]
    dates = {
        str(event["type"].value): datetime.datetime.fromisoformat(event["timestamp"])
        for event in done.history
    }
    assert dates["WaitStateExited"] - dates["WaitStateEntered"] >= datetime.timedelta(seconds=HOURS)


def test_a_wait_until_a_timestamp_counts_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        moment = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(seconds=600)
        wait = {"Type": "Wait", "Timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "End": True}
        done = run({"StartAt": "Wait", "States": {"Wait": wait}})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert 595 <= done.delays[0].seconds <= 600


def test_real_time_is_the_default() -> None:
    with Workbench(
        {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}, {}, {}
    ) as bench:
        began = time.monotonic()
        bench.start().wait(A_HANG)
        # what a timer may be early by
        assert time.monotonic() - began >= 0.99


def test_who_shares_the_time_of_an_execution_is_told_of_each_wait_that_has_passed() -> None:
    waiting = {
        "StartAt": "Short",
        "States": {
            "Short": {"Type": "Wait", "Seconds": 3, "Next": "Long"},
            "Long": {"Type": "Wait", "Seconds": HOURS, "End": True},
        },
    }
    passed: list[float] = []
    run(waiting, pace=Pace(delays=0.0, waited=passed.append))
    assert passed == [3, HOURS]


def test_a_retry_interval_is_no_wait_that_is_told_of() -> None:
    passed: list[float] = []
    definition = retrying(IntervalSeconds=10, BackoffRate=3, MaxAttempts=4)
    run(definition, pace=Pace(delays=0.0, waited=passed.append), f=busy)
    assert passed == []
