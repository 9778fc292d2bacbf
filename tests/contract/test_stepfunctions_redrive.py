"""Redriving executions: "Restarting state machine executions with redrive in Step Functions", "Redriving Map
Runs", API reference "RedriveExecution"."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.stepfunctions.errors import StepFunctionsError
from local.stepfunctions.pace import Pace
from local.stepfunctions.work_threads import WorkThreads
from local.stepfunctions.workbench import Run, Workbench
from local.testing.patience import PATIENCE_SECONDS

FAST = Pace(delays=0.0, timeouts=0.05)


class Broken(Exception):
    pass


class Service:
    """A function that fails for the names it is told, and counts its calls by name."""

    def __init__(self) -> None:
        self.broken: set[Any] = set()
        self.calls: list[Any] = []

    def __call__(self, event: Any, context: Any) -> Any:
        self.calls.append(event["name"])
        if event["name"] in self.broken:
            raise Broken("as told")
        return event


@pytest.fixture
def service() -> Service:
    return Service()


def task(name: Any, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "f", "Payload": {"name": name, "seen.$": "$"}},
        "ResultSelector": {"answered.$": "$.Payload.name"},
        **fields,
    }


def two_tasks(**second: Any) -> dict[str, Any]:
    states = {
        "First": task("first", ResultPath="$.first", Next="Second"),
        "Second": task("second", ResultPath="$.second", End=True, **second),
        "Failed": {"Type": "Fail", "Error": "Failed", "Cause": "for good"},
    }
    return {"StartAt": "First", "States": states}


Open = Callable[[dict[str, Any]], Workbench]


@pytest.fixture
def opened(service: Service) -> Iterator[Open]:
    """Opens a bench with the service as function `f`; at most one a test."""
    benches: list[Workbench] = []

    def open_bench(definition: dict[str, Any]) -> Workbench:
        benches.append(Workbench(definition, {}, {"f": service}, pace=FAST).__enter__())
        return benches[-1]

    yield open_bench
    for bench in benches:
        bench.__exit__(None, None, None)


def types_after_redrive(run: Run) -> list[str]:
    types = [str(event["type"].value) for event in run.history]
    return types[len(types) - types[::-1].index("ExecutionRedriven") :]


def refusal_of(run: Run) -> str:
    with pytest.raises(StepFunctionsError) as caught:
        run.redrive()
    assert caught.value.code == "ExecutionNotRedrivable"
    return caught.value.message


def failed_once(bench: Workbench, service: Service, **start: Any) -> Run:
    service.broken.add("second")
    run = bench.start(**start).wait()
    assert run.status == "FAILED"
    service.broken.clear()
    return run


def test_a_redriven_execution_goes_on_in_the_failed_state_with_its_input(
    service: Service, opened: Open
) -> None:
    run = failed_once(opened(two_tasks()), service, input={"kept": 1})

    run.redrive().wait()

    assert run.status == "SUCCEEDED"
    assert service.calls == ["first", "second", "second"]
    assert run.output == {
        "kept": 1,
        "first": {"answered": "first"},
        "second": {"answered": "second"},
    }


def test_history_goes_on_with_execution_redriven_and_enters_the_state_no_second_time(
    service: Service, opened: Open
) -> None:
    run = failed_once(opened(two_tasks()), service)
    before = run.history

    run.redrive().wait()

    assert run.history[: len(before)] == before
    assert [event["id"] for event in run.history] == list(range(1, len(run.history) + 1))
    assert run.history[len(before)]["executionRedrivenEventDetails"] == {"redriveCount": 1}
    assert types_after_redrive(run) == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    assert run.path == ["First", "Second"]


def test_name_arn_start_and_input_stay_and_the_context_object_counts_redrives(opened: Open) -> None:
    context = {
        "id.$": "$$.Execution.Id",
        "started.$": "$$.Execution.StartTime",
        "input.$": "$$.Execution.Input",
        "redrives.$": "$$.Execution.RedriveCount",
        "redrivenAt.$": "$$.Execution.RedriveTime",
    }
    look = {"Type": "Pass", "Parameters": context, "End": True}
    bench = opened({"StartAt": "Hold", "States": {"Hold": task("hold", Next="Look"), "Look": look}})
    held = threading.Event()
    bench.functions["f"] = lambda event, context: held.wait() and event
    run = bench.start({"a": 1}, name="again")
    bench.wait_until(lambda: bool(run.path))
    run.stop("Stopped", "by hand")
    states = boto3.client("stepfunctions")
    first = states.describe_execution(executionArn=run.arn)
    held.set()

    answer = states.redrive_execution(executionArn=run.arn)
    run.wait()

    second = states.describe_execution(executionArn=run.arn)
    assert (second["name"], second["startDate"]) == ("again", first["startDate"])
    assert (second["redriveCount"], second["redriveDate"]) == (1, answer["redriveDate"])
    assert "error" not in second
    assert run.output["id"] == run.arn
    assert run.output["input"] == {"a": 1}
    assert run.output["redrives"] == 1
    assert run.output["started"] < run.output["redrivenAt"]


def test_retries_count_from_nothing_again(service: Service, opened: Open) -> None:
    retry = [{"ErrorEquals": ["Broken"], "MaxAttempts": 2}]
    bench = opened(two_tasks(Retry=retry))
    service.broken.add("second")
    run = bench.start().wait()

    run.redrive().wait()

    assert run.status == "FAILED"
    assert service.calls.count("second") == 6


def test_an_execution_that_ended_in_fail_enters_it_again_and_fails_again(
    service: Service, opened: Open
) -> None:
    catch = [{"ErrorEquals": ["Broken"], "ResultPath": "$.e", "Next": "Failed"}]
    run = failed_once(opened(two_tasks(Catch=catch)), service)

    run.redrive().wait()

    assert (run.status, run.error, run.cause) == ("FAILED", "Failed", "for good")
    assert service.calls == ["first", "second"]
    assert run.path == ["First", "Second", "Failed", "Failed"]


def test_a_stopped_wait_for_a_token_gets_a_new_one(opened: Open, service: Service) -> None:
    tokens: list[str] = []
    waiting = task("x", End=True)
    waiting["Resource"] += ".waitForTaskToken"
    waiting["Parameters"]["Payload"] = {"name": "x", "token.$": "$$.Task.Token"}
    del waiting["ResultSelector"]
    bench = opened({"StartAt": "Hold", "States": {"Hold": waiting}})
    bench.functions["f"] = lambda event, context: tokens.append(event["token"])
    states = boto3.client("stepfunctions")
    run = bench.start()
    bench.wait_until(lambda: len(tokens) == 1)
    run.stop()

    run.redrive()
    bench.wait_until(lambda: len(tokens) == 2)

    assert tokens[0] != tokens[1]
    with pytest.raises(states.exceptions.TaskTimedOut):
        states.send_task_success(taskToken=tokens[0], output="{}")
    states.send_task_success(taskToken=tokens[1], output='{"answered": 1}')
    assert run.wait().output == {"answered": 1}


def test_the_timeout_of_the_state_machine_starts_again(opened: Open, service: Service) -> None:
    held = threading.Event()
    bench = opened({**two_tasks(), "TimeoutSeconds": 10})
    bench.functions["f"] = lambda event, context: held.wait() and event
    run = bench.start().wait()
    assert run.status == "TIMED_OUT"
    held.set()

    assert run.redrive().wait().status == "SUCCEEDED"


def test_a_redrive_is_announced_as_running(service: Service, opened: Open) -> None:
    bench = opened(two_tasks())
    run = failed_once(bench, service)

    run.redrive().wait()

    bench.wait_until(lambda: len(bench.status_events) == 4)
    details = [event["detail"] for event in bench.status_events]
    assert [detail["status"] for detail in details] == ["RUNNING", "FAILED", "RUNNING", "SUCCEEDED"]
    assert [detail["redriveCount"] for detail in details] == [0, 0, 1, 1]
    assert [detail["redriveStatus"] for detail in details][:3] == [
        "NOT_REDRIVABLE",
        "REDRIVABLE",
        "NOT_REDRIVABLE",
    ]
    assert details[2]["redriveDate"] >= details[1]["stopDate"]
    assert (details[2]["stopDate"], details[2]["error"]) == (None, None)


def test_the_same_client_token_redrives_once(service: Service, opened: Open) -> None:
    bench = opened(two_tasks())
    run = failed_once(bench, service)
    service.broken.add("second")
    states = boto3.client("stepfunctions")
    first = states.redrive_execution(executionArn=run.arn, clientToken="t")
    run.wait()

    again = states.redrive_execution(executionArn=run.arn, clientToken="t")

    assert again["redriveDate"] == first["redriveDate"]
    assert states.describe_execution(executionArn=run.arn)["redriveCount"] == 1


def test_two_redrives_at_once_let_one_through(service: Service, opened: Open) -> None:
    bench = opened(two_tasks())
    run = failed_once(bench, service)
    held = threading.Event()
    bench.functions["f"] = lambda event, context: held.wait() and event

    run.redrive()

    assert refusal_of(run) == f"Execution is RUNNING and cannot be redriven: '{run.arn}'"
    held.set()
    assert run.wait().status == "SUCCEEDED"


def test_a_succeeded_execution_is_not_redriven(service: Service, opened: Open) -> None:
    run = opened(two_tasks()).start().wait()
    states = boto3.client("stepfunctions")

    with pytest.raises(states.exceptions.ExecutionNotRedrivable, match="Execution is SUCCEEDED"):
        states.redrive_execution(executionArn=run.arn)
    described = states.describe_execution(executionArn=run.arn)
    assert described["redriveStatus"] == "NOT_REDRIVABLE"
    assert described["redriveStatusReason"] == "Execution is SUCCEEDED and cannot be redriven"


def test_an_unknown_execution_is_not_redriven(opened: Open) -> None:
    bench = opened(two_tasks())
    states = boto3.client("stepfunctions")
    arn = bench.state_machine.arn.replace("stateMachine", "execution") + ":none"
    with pytest.raises(states.exceptions.ExecutionDoesNotExist):
        states.redrive_execution(executionArn=arn)


@pytest.mark.parametrize("days", [13, 15])
def test_an_execution_is_redriven_for_fourteen_days(service: Service, opened: Open, days: int) -> None:
    bench = opened(two_tasks())
    run = failed_once(bench, service)
    execution = bench.engine.execution(run.arn)
    assert execution.stop_date is not None
    execution.stop_date -= datetime.timedelta(days=days)

    if days < 14:
        assert run.redrive().wait().status == "SUCCEEDED"
    else:
        assert refusal_of(run).startswith("Execution redrivable period exceeded")


def test_a_history_that_is_full_takes_no_redrive(
    service: Service, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = failed_once(opened(two_tasks()), service)
    monkeypatch.setattr("local.stepfunctions.redrive.MOST_EVENTS", len(run.history))

    assert refusal_of(run).startswith("Execution history event limit exceeded")


def each(**fields: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Prepare",
        "States": {
            "Prepare": {"Type": "Pass", "Next": "Process"},
            "Process": task(0, End=True),
        },
    }
    processor["States"]["Process"]["Parameters"]["Payload"] = {"name.$": "$"}  # type: ignore[index]
    state = {
        "Type": "Map",
        "Label": "Each",
        "ItemsPath": "$.items",
        "ItemProcessor": processor,
        "ResultPath": "$.results",
        "Next": "Done",
        **fields,
    }
    return {"StartAt": "Each", "States": {"Each": state, "Done": {"Type": "Succeed"}}}


def test_a_map_run_is_redriven_with_its_unsuccessful_children_only(service: Service, opened: Open) -> None:
    bench = opened(each(MaxConcurrency=1))
    service.broken.add(2)
    run = bench.start({"items": [1, 2, 3]}).wait()
    assert [child.status for child in run.children] == ["SUCCEEDED", "FAILED"]
    before = [child.arn for child in run.children]
    service.broken.clear()

    run.redrive().wait()

    assert run.status == "SUCCEEDED", run.cause
    assert service.calls == [1, 2, 2, 3]
    assert [result["answered"] for result in run.output["results"]] == [1, 2, 3]
    assert [child.arn for child in run.children][:2] == before
    assert [child.status for child in run.children] == ["SUCCEEDED"] * 3
    assert types_after_redrive(run)[:3] == ["MapRunRedriven", "MapRunSucceeded", "MapStateSucceeded"]


def test_a_redriven_child_goes_on_in_its_failed_state(service: Service, opened: Open) -> None:
    bench = opened(each())
    service.broken.add(1)
    run = bench.start({"items": [1]}).wait()
    service.broken.clear()

    run.redrive().wait()

    (child,) = run.children
    assert child.path == ["Prepare", "Process"]
    assert "ExecutionRedriven" in [event["type"] for event in child.history]


def test_map_run_and_children_say_how_often_they_were_redriven(service: Service, opened: Open) -> None:
    bench = opened(each(MaxConcurrency=1))
    service.broken.add(2)
    run = bench.start({"items": [1, 2]}).wait()
    states = boto3.client("stepfunctions")
    failed = states.describe_execution(executionArn=run.children[1].arn)
    assert failed["redriveStatus"] == "REDRIVABLE_BY_MAP_RUN"
    service.broken.clear()

    run.redrive().wait()

    (map_run,) = states.list_map_runs(executionArn=run.arn)["mapRuns"]
    described = states.describe_map_run(mapRunArn=map_run["mapRunArn"])
    assert (described["status"], described["redriveCount"]) == ("SUCCEEDED", 1)
    assert described["redriveDate"] is not None
    for counts in (described["itemCounts"], described["executionCounts"]):
        assert (counts["total"], counts["succeeded"], counts["failed"], counts["pending"]) == (2, 2, 0, 0)
    redriven = states.list_executions(mapRunArn=map_run["mapRunArn"], redriveFilter="REDRIVEN")
    assert [child["executionArn"] for child in redriven["executions"]] == [failed["executionArn"]]
    assert redriven["executions"][0]["redriveCount"] == 1


def test_an_execution_stopped_before_it_entered_a_state_begins_anew(
    service: Service, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = opened(two_tasks())
    stopped, start = threading.Event(), WorkThreads.start

    def start_late(threads: WorkThreads, name: str, target: Callable[..., Any], *args: Any) -> Any:
        late = name == "states-program"
        return start(threads, name, lambda: (late and stopped.wait(PATIENCE_SECONDS), target(*args)))

    monkeypatch.setattr(WorkThreads, "start", start_late)
    run = bench.start({"kept": 1}).stop()
    stopped.set()
    assert (run.wait().status, run.path) == ("ABORTED", [])

    run.redrive().wait()

    assert (run.status, run.path) == ("SUCCEEDED", ["First", "Second"])
    assert run.output["kept"] == 1


def test_a_child_is_not_redriven_by_itself(service: Service, opened: Open) -> None:
    bench = opened(each())
    service.broken.add(1)
    run = bench.start({"items": [1]}).wait()

    assert refusal_of(run.children[0]).startswith("Execution can be redriven only by its Map Run")


def test_a_map_run_stopped_with_its_execution_is_redriven_with_its_aborted_children(
    service: Service, opened: Open
) -> None:
    bench = opened(each(MaxConcurrency=2))
    held = threading.Event()
    bench.functions["f"] = lambda event, context: held.wait() and event
    run = bench.start({"items": [1, 2, 3]})
    bench.wait_until(lambda: len(run.children) == 2)
    run.stop()
    held.set()

    run.redrive().wait()

    assert run.status == "SUCCEEDED", run.cause
    assert len(run.children) == 3
    assert len(boto3.client("stepfunctions").list_map_runs(executionArn=run.arn)["mapRuns"]) == 1


def test_a_map_run_that_fails_again_is_redriven_again(service: Service, opened: Open) -> None:
    bench = opened(each())
    service.broken.add(1)
    run = bench.start({"items": [1]}).wait()
    assert run.redrive().wait().error == "States.ExceedToleratedFailureThreshold"
    service.broken.clear()

    assert run.redrive().wait().status == "SUCCEEDED"
    redriven = [e["mapRunRedrivenEventDetails"] for e in run.history if e["type"] == "MapRunRedriven"]
    assert [details["redriveCount"] for details in redriven] == [1, 2]


def test_a_map_run_is_redriven_a_thousand_times(service: Service, opened: Open) -> None:
    bench = opened(each())
    service.broken.add(1)
    run = bench.start({"items": [1]}).wait()
    bench.engine.execution(run.arn).map_runs[0].redrive_count = 1000

    assert run.redrive().wait().error == "States.Runtime"


def test_a_map_whose_items_could_not_be_read_reads_them_in_a_new_map_run(
    service: Service, opened: Open
) -> None:
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": "bucket", "Key": "items.json"},
    }
    definition = each(ItemReader=reader)
    del definition["States"]["Each"]["ItemsPath"]
    bench = opened(definition)
    run = bench.start().wait()
    assert run.error == "States.ItemReaderFailed"
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="items.json", Body=json.dumps([5]))

    run.redrive().wait()

    assert service.calls == [5]
    assert len(boto3.client("stepfunctions").list_map_runs(executionArn=run.arn)["mapRuns"]) == 2


def test_unlike_on_aws_a_parallel_state_runs_all_of_its_branches_again(
    service: Service, opened: Open
) -> None:
    branches = [{"StartAt": name, "States": {name: task(name, End=True)}} for name in ("first", "second")]
    both = {"Type": "Parallel", "Branches": branches, "End": True}
    bench, first_called = opened({"StartAt": "Both", "States": {"Both": both}}), threading.Event()

    def second_after_first(event: Any, context: Any) -> Any:
        if event["name"] == "second":
            first_called.wait(PATIENCE_SECONDS)  # or its branch might be stopped before its call
        try:
            return service(event, context)
        finally:
            first_called.set()

    bench.functions["f"] = second_after_first
    run = failed_once(bench, service)

    assert run.redrive().wait().status == "SUCCEEDED"
    assert sorted(service.calls) == ["first", "first", "second", "second"]


def test_executions_of_a_state_machine_are_not_filtered_by_redrive(opened: Open) -> None:
    bench = opened(two_tasks())
    with pytest.raises(ClientError, match="redriveFilter is only supported with a MapRun ARN"):
        boto3.client("stepfunctions").list_executions(
            stateMachineArn=bench.state_machine.arn, redriveFilter="REDRIVEN"
        )
