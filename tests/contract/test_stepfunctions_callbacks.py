"""Task tokens: "Wait for a Callback with Task Token" and the API reference of SendTask…"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.stepfunctions import task_tokens
from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Run, Workbench
from local.testing.patience import PATIENCE_SECONDS


class Tokens:
    """A function that keeps the tokens it is given."""

    def __init__(self) -> None:
        self._came = threading.Condition()
        self._tokens: list[str] = []

    def __call__(self, event: Any, context: Any) -> None:
        with self._came:
            self._tokens.append(event["token"])
            self._came.notify_all()

    def get(self, number: int = 1) -> str:
        """The token of that attempt, once it is there."""
        with self._came:
            assert self._came.wait_for(lambda: len(self._tokens) >= number, timeout=PATIENCE_SECONDS)
            return self._tokens[number - 1]


def waiting(**fields: Any) -> dict[str, Any]:
    first = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "keep", "Payload": {"token.$": "$$.Task.Token"}},
        "Catch": [
            {"ErrorEquals": ["States.HeartbeatTimeout"], "ResultPath": "$.error", "Next": "No Heartbeat"},
            {"ErrorEquals": ["States.Timeout"], "ResultPath": "$.error", "Next": "Timed Out"},
        ],
        "Next": "Done",
        **fields,
    }
    ends = {name: {"Type": "Succeed"} for name in ("Done", "No Heartbeat", "Timed Out")}
    return {"StartAt": "Wait", "States": {"Wait": first, **ends}}


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def open_bench(tokens: Tokens) -> Iterator[Any]:
    opened: list[Workbench] = []

    def open_it(**fields: Any) -> tuple[Run, Any]:
        bench = Workbench(waiting(**fields), {}, {"keep": tokens}, pace=Pace(delays=0.0, timeouts=0.1))
        opened.append(bench.__enter__())
        return bench.start(), boto3.client("stepfunctions")

    yield open_it
    for bench in opened:
        bench.__exit__(None, None, None)


def refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_success_goes_on_with_the_given_output(open_bench: Any, tokens: Tokens) -> None:
    run, states = open_bench()
    states.send_task_success(taskToken=tokens.get(), output=json.dumps({"jobStatus": "COMPLETED"}))
    assert run.wait().output == {"jobStatus": "COMPLETED"}


def test_failure_fails_with_the_given_error_and_cause(open_bench: Any, tokens: Tokens) -> None:
    run, states = open_bench()
    states.send_task_failure(taskToken=tokens.get(), error="ExportFailed", cause="why")
    assert (run.wait().error, run.cause) == ("ExportFailed", "why")


def test_a_missed_heartbeat_is_caught_as_heartbeat_timeout(open_bench: Any) -> None:
    run, _ = open_bench(HeartbeatSeconds=1, TimeoutSeconds=60)
    assert run.wait().path == ["Wait", "No Heartbeat"]


def test_a_missed_heartbeat_is_reported_as_a_timeout(open_bench: Any) -> None:
    run, _ = open_bench(HeartbeatSeconds=1, TimeoutSeconds=60)
    assert run.wait().output["error"]["Error"] == "States.Timeout"
    timed_out = [event for event in run.history if event["type"] == "TaskTimedOut"]
    assert timed_out[0]["taskTimedOutEventDetails"]["error"] == "States.Timeout"


class Clock:
    """The seconds by which heartbeats are missed, passed by a test."""

    def __init__(self) -> None:
        self._looks = threading.Condition()
        self._number = 0
        self.now = 0.0

    def monotonic(self) -> float:
        with self._looks:
            self._number += 1
            self._looks.notify_all()
            return self.now

    def await_a_look(self) -> None:
        """Return when somebody has looked at the clock from now on."""
        with self._looks:
            before = self._number
            assert self._looks.wait_for(lambda: self._number > before, timeout=PATIENCE_SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(task_tokens, "time", clock)
    return clock


def test_heartbeats_keep_the_task_alive(open_bench: Any, tokens: Tokens, clock: Clock) -> None:
    run, states = open_bench(HeartbeatSeconds=2, TimeoutSeconds=6000)
    token = tokens.get()
    for _ in range(5):
        clock.now += 0.15  # of 0.2: the bench shortens timeouts to a tenth
        states.send_task_heartbeat(taskToken=token)
        clock.await_a_look()
    assert run.status == "RUNNING"
    states.send_task_success(taskToken=token, output="{}")
    assert run.wait().path == ["Wait", "Done"]


def test_a_heartbeat_that_comes_too_late_is_missed(open_bench: Any, tokens: Tokens, clock: Clock) -> None:
    run, states = open_bench(HeartbeatSeconds=2, TimeoutSeconds=6000)
    token = tokens.get()
    clock.now += 0.15
    states.send_task_heartbeat(taskToken=token)
    clock.now += 0.25
    assert run.wait().path == ["Wait", "No Heartbeat"]


def test_heartbeats_do_not_extend_the_timeout(open_bench: Any, tokens: Tokens, clock: Clock) -> None:
    run, states = open_bench(HeartbeatSeconds=3, TimeoutSeconds=5)
    while run.status == "RUNNING":
        with contextlib.suppress(states.exceptions.TaskTimedOut):
            states.send_task_heartbeat(taskToken=tokens.get())
    assert run.wait().path == ["Wait", "Timed Out"]


def test_an_unknown_token_is_invalid(open_bench: Any) -> None:
    _, states = open_bench()
    assert refusal(states.send_task_success, taskToken="none", output="{}") == "InvalidToken"
    assert refusal(states.send_task_failure, taskToken="none") == "InvalidToken"
    assert refusal(states.send_task_heartbeat, taskToken="none") == "InvalidToken"


@pytest.mark.parametrize("ending", ["answered", "timed out", "stopped"])
def test_the_token_of_a_task_that_is_over_is_refused(open_bench: Any, tokens: Tokens, ending: str) -> None:
    run, states = open_bench(**({"TimeoutSeconds": 1} if ending == "timed out" else {}))
    token = tokens.get()
    if ending == "answered":
        states.send_task_success(taskToken=token, output="{}")
    if ending == "stopped":
        run.stop()
    run.wait()
    assert refusal(states.send_task_success, taskToken=token, output="{}") == "TaskTimedOut"
    assert refusal(states.send_task_failure, taskToken=token) == "TaskTimedOut"
    assert refusal(states.send_task_heartbeat, taskToken=token) == "TaskTimedOut"


def test_an_output_that_is_not_json_is_refused_and_the_task_goes_on(open_bench: Any, tokens: Tokens) -> None:
    run, states = open_bench()
    assert refusal(states.send_task_success, taskToken=tokens.get(), output="{no") == "InvalidOutput"
    assert run.status == "RUNNING"


def test_each_attempt_has_a_token_of_its_own(open_bench: Any, tokens: Tokens) -> None:
    run, states = open_bench(Retry=[{"ErrorEquals": ["TryAgain"], "MaxAttempts": 1}])
    states.send_task_failure(taskToken=tokens.get(1), error="TryAgain")
    assert tokens.get(2) != tokens.get(1)
    assert refusal(states.send_task_success, taskToken=tokens.get(1), output="{}") == "TaskTimedOut"
    states.send_task_success(taskToken=tokens.get(2), output='"second"')
    assert run.wait().output == "second"


def test_an_answer_from_within_the_task_itself_is_not_lost() -> None:
    def answer(event: Any, context: Any) -> None:
        states = boto3.client("stepfunctions")
        states.send_task_heartbeat(taskToken=event["token"])
        states.send_task_success(taskToken=event["token"], output='"at once"')

    definition = waiting(HeartbeatSeconds=60, TimeoutSeconds=600)
    with Workbench(definition, {}, {"keep": answer}, pace=Pace(timeouts=0.1)) as bench:
        assert bench.start().wait().output == "at once"


def test_a_callback_in_a_map_child_finds_its_child(tokens: Tokens) -> None:
    definition = {
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    **waiting(),
                },
                "End": True,
            }
        },
    }
    with Workbench(definition, {}, {"keep": tokens}) as bench:
        run = bench.start({"items": [1]})
        boto3.client("stepfunctions").send_task_success(taskToken=tokens.get(), output='"child"')
        assert run.wait().output == ["child"]
