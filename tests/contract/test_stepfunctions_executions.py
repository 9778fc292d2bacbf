"""Starting, stopping, describing and listing executions: Step Functions API reference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Workbench

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
QUARTER_MEGABYTE = 256 * 1024

ECHO_OR_WAIT = {
    "StartAt": "Is It To Wait?",
    "States": {
        "Is It To Wait?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.wait", "IsPresent": True, "Next": "Wait"}],
            "Default": "Done",
        },
        "Wait": {"Type": "Wait", "Seconds": 3600, "Next": "Done"},
        "Done": {"Type": "Succeed"},
    },
}


@pytest.fixture
def bench() -> Iterator[Workbench]:
    with Workbench(ECHO_OR_WAIT, {}, {}, pace=Pace(timeouts=0.05)) as bench:
        yield bench


@pytest.fixture
def states(bench: Workbench) -> Any:
    return boto3.client("stepfunctions")


def refusal(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def start(states: Any, bench: Workbench, document: Any = None, **parameters: Any) -> str:
    answer = states.start_execution(
        stateMachineArn=bench.state_machine.arn, input=json.dumps(document or {}), **parameters
    )
    return str(answer["executionArn"])


def test_an_execution_started_without_a_name_is_named_by_a_uuid(states: Any, bench: Workbench) -> None:
    arn = start(states, bench)
    assert UUID.fullmatch(arn.rsplit(":", 1)[-1])
    assert arn.startswith(bench.state_machine.arn.replace(":stateMachine:", ":execution:") + ":")


def test_a_finished_execution_is_described_with_input_output_and_times(states: Any, bench: Workbench) -> None:
    arn = start(states, bench, {"a": 1}, name="one")
    bench.run(arn).wait()
    described = states.describe_execution(executionArn=arn)
    assert described["status"] == "SUCCEEDED"
    assert json.loads(described["output"]) == json.loads(described["input"]) == {"a": 1}
    assert described["startDate"] <= described["stopDate"]
    assert described["stateMachineArn"] == bench.state_machine.arn
    assert described["redriveCount"] == 0
    assert described["redriveStatus"] == "NOT_REDRIVABLE"


def test_the_same_name_and_input_while_running_answer_the_running_execution(
    states: Any, bench: Workbench
) -> None:
    first = start(states, bench, {"wait": 1}, name="twice")
    assert start(states, bench, {"wait": 1}, name="twice") == first
    assert len(bench.runs) == 1


def test_a_name_is_refused_for_another_input(states: Any, bench: Workbench) -> None:
    start(states, bench, {"wait": 1}, name="twice")
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        start(states, bench, {"wait": 2}, name="twice")


def test_a_name_is_refused_once_its_execution_is_over(states: Any, bench: Workbench) -> None:
    bench.run(start(states, bench, {}, name="twice")).wait()
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        start(states, bench, {}, name="twice")


@pytest.mark.parametrize("name", ["with space", "a/b", "a:b", "x" * 81, "tab\t", "q?"])
def test_a_name_outside_the_rules_is_refused(states: Any, bench: Workbench, name: str) -> None:
    with pytest.raises(states.exceptions.InvalidName):
        start(states, bench, {}, name=name)


def test_an_input_that_is_not_json_is_refused(states: Any, bench: Workbench) -> None:
    code = refusal(states.start_execution, stateMachineArn=bench.state_machine.arn, input="{not json")
    assert code == "InvalidExecutionInput"


def test_an_input_over_256_kib_is_refused(states: Any, bench: Workbench) -> None:
    text = json.dumps("x" * QUARTER_MEGABYTE)
    code = refusal(states.start_execution, stateMachineArn=bench.state_machine.arn, input=text)
    assert code == "ValidationException"


def test_an_unknown_state_machine_is_refused(states: Any, bench: Workbench) -> None:
    arn = bench.state_machine.arn + "-other"
    assert refusal(states.start_execution, stateMachineArn=arn) == "StateMachineDoesNotExist"
    assert refusal(states.list_executions, stateMachineArn=arn) == "StateMachineDoesNotExist"


def test_an_unknown_execution_is_refused_by_every_action(states: Any, bench: Workbench) -> None:
    arn = bench.state_machine.arn.replace(":stateMachine:", ":execution:") + ":none"
    for call in (
        states.describe_execution,
        states.stop_execution,
        states.get_execution_history,
        states.list_map_runs,
    ):
        assert refusal(call, executionArn=arn) == "ExecutionDoesNotExist"


def test_a_stopped_execution_is_aborted_with_error_and_cause_at_once(states: Any, bench: Workbench) -> None:
    arn = start(states, bench, {"wait": 1})
    states.stop_execution(executionArn=arn, error="Stopped", cause="by hand")
    described = states.describe_execution(executionArn=arn)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Stopped", "by hand")
    last = states.get_execution_history(executionArn=arn)["events"][-1]
    assert last["type"] == "ExecutionAborted"
    assert last["executionAbortedEventDetails"] == {"error": "Stopped", "cause": "by hand"}


def test_stopping_a_finished_execution_changes_nothing(states: Any, bench: Workbench) -> None:
    arn = start(states, bench)
    bench.run(arn).wait()
    states.stop_execution(executionArn=arn, error="Late")
    assert states.describe_execution(executionArn=arn)["status"] == "SUCCEEDED"


def test_executions_are_listed_latest_first_by_status_and_page_by_page(states: Any, bench: Workbench) -> None:
    for name in ("a", "b", "c"):
        bench.run(start(states, bench, {}, name=name)).wait()
    start(states, bench, {"wait": 1}, name="d")
    machine = bench.state_machine.arn
    running = states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    assert [execution["name"] for execution in running] == ["d"]
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, maxResults=3)
    assert [[e["name"] for e in page["executions"]] for page in pages] == [["d", "c", "b"], ["a"]]


def test_a_history_is_read_page_by_page_and_backwards(states: Any, bench: Workbench) -> None:
    arn = start(states, bench, {"a": 1})
    bench.run(arn).wait()
    paginator = states.get_paginator("get_execution_history")
    pages = list(paginator.paginate(executionArn=arn, maxResults=2))
    forwards = [event["type"] for page in pages for event in page["events"]]
    assert len(pages) > 1
    assert forwards == [
        "ExecutionStarted",
        "ChoiceStateEntered",
        "ChoiceStateExited",
        "SucceedStateEntered",
        "SucceedStateExited",
        "ExecutionSucceeded",
    ]
    backwards = states.get_execution_history(executionArn=arn, reverseOrder=True)["events"]
    assert [event["type"] for event in backwards] == forwards[::-1]


def test_a_history_without_execution_data_holds_no_input_and_no_output(states: Any, bench: Workbench) -> None:
    arn = start(states, bench, {"marked": "value"})
    bench.run(arn).wait()
    events = states.get_execution_history(executionArn=arn, includeExecutionData=False)["events"]
    assert "marked" not in json.dumps(events, default=str)


def test_a_standard_state_machine_is_not_started_synchronously(states: Any, bench: Workbench) -> None:
    code = refusal(states.start_sync_execution, stateMachineArn=bench.state_machine.arn)
    assert code == "StateMachineTypeNotSupported"


def test_status_changes_are_announced_as_events(bench: Workbench) -> None:
    run = bench.start({"wait": 1}, name="watched")
    run.stop("Stopped", "by hand")
    bench.wait_until(lambda: len(bench.status_events) == 2)
    started, ended = bench.status_events
    assert started["source"] == ended["source"] == "aws.states"
    assert ended["detail-type"] == "Step Functions Execution Status Change"
    assert ended["resources"] == [run.arn]
    assert (started["detail"]["status"], ended["detail"]["status"]) == ("RUNNING", "ABORTED")
    assert (ended["detail"]["error"], ended["detail"]["cause"]) == ("Stopped", "by hand")
    assert started["detail"]["stopDate"] is None
    assert ended["detail"]["startDate"] <= ended["detail"]["stopDate"]
    assert json.loads(ended["detail"]["input"]) == {"wait": 1}


def test_status_changes_of_an_encrypted_state_machine_do_not_say_why() -> None:
    failing = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "Late", "Cause": "too late"}}}
    with Workbench(failing, {}, {}, encrypted=True) as bench:
        run = bench.start({"marked": "value"}).wait()
        bench.wait_until(lambda: len(bench.status_events) == 2)
        detail = bench.status_events[-1]["detail"]

    assert (detail["executionArn"], detail["status"], run.error) == (run.arn, "FAILED", "Late")
    assert [detail[name] for name in ("input", "output", "error", "cause")] == [None] * 4
    assert detail["inputDetails"] == detail["outputDetails"] == {"included": False}
