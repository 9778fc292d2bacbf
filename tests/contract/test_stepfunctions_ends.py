"""How executions end where no Catch sees it: stopped, timed out, with too much data.

AWS documentation: "StopExecution", "Handling errors in Step Functions workflows" (States.DataLimitExceeded),
"Automating Step Functions event delivery with EventBridge".
"""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Run, Workbench, function_arn
from local.testing.held_calls import released

FAST = Pace(delays=0.0, timeouts=0.05)
HOURS = 3600
ALL = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}]
MORE_THAN_HALF = "x" * 140_000


def task(**fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "f", "Payload.$": "$"},
        "Catch": ALL,
        "End": True,
        **fields,
    }


def inner(mode: str = "INLINE") -> dict[str, Any]:
    state = task()
    del state["Catch"]
    config = {"Mode": mode} if mode == "INLINE" else {"Mode": mode, "ExecutionType": "STANDARD"}
    return {"ProcessorConfig": config, "StartAt": "Inner", "States": {"Inner": state}}


def mapping(mode: str, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": inner(mode),
        "Catch": ALL,
        "End": True,
        **fields,
    }


def branching() -> dict[str, Any]:
    branch = inner()
    del branch["ProcessorConfig"]
    return {"Type": "Parallel", "Branches": [branch, branch], "Catch": ALL, "End": True}


def machine(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"StartAt": "First", "States": {"First": state, "Caught": {"Type": "Succeed"}}, **fields}


WAITING_FOR_A_TOKEN = task(
    Resource="arn:aws:states:::lambda:invoke.waitForTaskToken",
    Parameters={"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
)
LASTING_STATES = {
    "a wait": {"Type": "Wait", "Seconds": HOURS, "End": True},
    "a task": task(),
    "a wait for a token": WAITING_FOR_A_TOKEN,
    "a retry interval": task(
        Parameters={"FunctionName": "none", "Payload": {}},
        Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": HOURS}],
    ),
    "an inline map": mapping("INLINE"),
    "a distributed map": mapping("DISTRIBUTED"),
    "branches": branching(),
}


def lasting(run: Run, held_calls: list[Any], name: str) -> bool:
    """Whether the run has come to where it would last for hours."""
    if name == "a wait":
        return bool(run.delays)
    if name == "a retry interval":
        return bool(run.delays)
    return bool(held_calls)


@pytest.mark.parametrize("name", LASTING_STATES)
def test_a_stop_ends_every_kind_of_state_at_once_and_no_catch_sees_it(
    name: str, held: threading.Event
) -> None:
    calls: list[Any] = []

    def hold(event: Any, context: Any) -> None:
        calls.append(event)
        held.wait()

    with Workbench(machine(LASTING_STATES[name]), {}, {"f": hold}) as bench, released(held):
        run = bench.start({"items": [1, 2]})
        bench.wait_until(lambda: lasting(run, calls, name))

        run.stop("Stopped", "by hand")

        assert (run.status, run.error, run.cause) == ("ABORTED", "Stopped", "by hand")
        assert "Caught" not in run.path
        assert run.history[-1]["type"] == "ExecutionAborted"
        assert {child.wait().status for child in run.children} <= {"ABORTED"}
        assert bench.status_events[-1]["detail"]["status"] == "ABORTED"


@pytest.mark.parametrize("name", ["a task", "a wait for a token", "an inline map", "a distributed map"])
def test_the_timeout_of_the_state_machine_ends_every_kind_of_state_and_no_catch_sees_it(
    name: str, held: threading.Event
) -> None:
    definition = machine(LASTING_STATES[name], TimeoutSeconds=10)
    with (
        Workbench(definition, {}, {"f": lambda event, context: held.wait()}, pace=FAST) as bench,
        released(held),
    ):
        run = bench.start({"items": [1, 2]}).wait()

        assert (run.status, run.error) == ("TIMED_OUT", None)
        assert run.path[:1] == ["First"]
        assert "Caught" not in run.path
        assert run.history[-1]["type"] == "ExecutionTimedOut"
        assert {child.wait().status for child in run.children} <= {"ABORTED"}
        bench.wait_until(lambda: len(bench.status_events) == 2)
        assert bench.status_events[-1]["detail"]["status"] == "TIMED_OUT"


TOO_MUCH = {
    "the output of a state": {
        "Type": "Pass",
        "Parameters": {"twice.$": "States.Array($.half, $.half)"},
        "End": True,
    },
    "the result of a function before its ResultSelector": task(ResultSelector={}),
    "the result of a function that is dropped": task(ResultPath=None),
    "the result of a function by its ARN": task(Resource=function_arn("f"), ResultPath=None),
    "what a task is given": task(
        Parameters={"FunctionName": "f", "Payload": {"one.$": "$.half", "two.$": "$.half"}}
    ),
    "the results of a distributed map that are dropped": mapping("DISTRIBUTED", ResultPath=None),
    "the results of an inline map that are dropped": mapping("INLINE", ResultPath=None),
    "an item of a map": mapping("DISTRIBUTED", ItemSelector={"one.$": "$.half", "two.$": "$.half"}),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_data_fails_the_execution_and_states_all_does_not_catch_it(name: str) -> None:
    def answer(event: Any, context: Any) -> str:
        if isinstance(event, int):
            return MORE_THAN_HALF
        return MORE_THAN_HALF * 2 if "half" in json.dumps(event) else "little"

    with Workbench(machine(TOO_MUCH[name]), {}, {"f": answer}, pace=FAST) as bench:
        run = bench.start({"half": MORE_THAN_HALF, "items": [1, 2]}).wait()

        assert (run.status, run.error) == ("FAILED", "States.DataLimitExceeded")
        assert "Caught" not in run.path
        bench.wait_until(lambda: len(bench.status_events) == 2)
        assert bench.status_events[-1]["detail"]["error"] == "States.DataLimitExceeded"
