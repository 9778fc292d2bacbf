"""Task tokens: "Wait for a Callback with Task Token" and the API reference of SendTask…"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Run, Workbench


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
            assert self._came.wait_for(lambda: len(self._tokens) >= number, timeout=5)
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
    assert run.wait(5).output == {"jobStatus": "COMPLETED"}


def test_failure_fails_with_the_given_error_and_cause(open_bench: Any, tokens: Tokens) -> None:
    run, states = open_bench()
    states.send_task_failure(taskToken=tokens.get(), error="ExportFailed", cause="why")
    assert (run.wait(5).error, run.cause) == ("ExportFailed", "why")


def test_a_missed_heartbeat_is_caught_as_heartbeat_timeout(open_bench: Any) -> None:
    run, _ = open_bench(HeartbeatSeconds=1, TimeoutSeconds=60)
    assert run.wait(5).path == ["Wait", "No Heartbeat"]


def test_a_missed_heartbeat_is_reported_as_a_timeout(open_bench: Any) -> None:
    run, _ = open_bench(HeartbeatSeconds=1, TimeoutSeconds=60)
    assert run.wait(5).output["error"]["Error"] == "States.Timeout"
    timed_out = [event for event in run.history if event["type"] == "TaskTimedOut"]
    assert timed_out[0]["taskTimedOutEventDetails"]["error"] == "States.Timeout"


def test_heartbeats_keep_the_task_alive(open_bench: Any, tokens: Tokens) -> None:
    run, states = open_bench(HeartbeatSeconds=10, TimeoutSeconds=600)
    for _ in range(5):
        states.send_task_heartbeat(taskToken=tokens.get())
        time.sleep(0.3)
    assert run.status == "RUNNING"
    states.send_task_success(taskToken=tokens.get(), output="{}")
    assert run.wait(5).path == ["Wait", "Done"]


def test_heartbeats_do_not_extend_the_timeout(open_bench: Any, tokens: Tokens) -> None:
    run, states = open_bench(HeartbeatSeconds=3, TimeoutSeconds=5)
    while run.status == "RUNNING":
        with contextlib.suppress(states.exceptions.TaskTimedOut):
            states.send_task_heartbeat(taskToken=tokens.get())
        time.sleep(0.02)
    assert run.wait(5).path == ["Wait", "Timed Out"]


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
    run.wait(5)
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
    assert run.wait(5).output == "second"


def test_an_answer_from_within_the_task_itself_is_not_lost() -> None:
    def answer(event: Any, context: Any) -> None:
        states = boto3.client("stepfunctions")
        states.send_task_heartbeat(taskToken=event["token"])
        states.send_task_success(taskToken=event["token"], output='"at once"')

    definition = waiting(HeartbeatSeconds=60, TimeoutSeconds=600)
    with Workbench(definition, {}, {"keep": answer}, pace=Pace(timeouts=0.1)) as bench:
        assert bench.start().wait(3).output == "at once"


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
        assert run.wait(5).output == ["child"]
