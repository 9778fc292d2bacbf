"""Distributed maps: "Using Map state in Distributed mode", "Setting failure thresholds"."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Run, Workbench
from local.testing.patience import PATIENCE_SECONDS

FAST = Pace(delays=0.0, timeouts=0.05)
EXCEEDED = "States.ExceedToleratedFailureThreshold"


class BadRange(Exception):
    pass


def process(event: Any, context: Any) -> Any:
    """Answers the item, or fails for a negative one."""
    if event["value"] < 0:
        raise BadRange("negative")
    return {"value": event["value"]}


def each(**fields: Any) -> dict[str, Any]:
    """A machine with one distributed map over $.items that calls `process` for each."""
    state = {
        "Type": "Map",
        "Label": "Each",
        "ItemsPath": "$.items",
        "ItemSelector": {
            "value.$": "$$.Map.Item.Value",
            "index.$": "$$.Map.Item.Index",
            "run.$": "$$.Execution.Name",
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Process",
            "States": {
                "Process": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke",
                    "Parameters": {"FunctionName": "process", "Payload.$": "$"},
                    "ResultSelector": {"value.$": "$.Payload.value"},
                    "End": True,
                }
            },
        },
        "ResultPath": "$.results",
        "Next": "Done",
        **fields,
    }
    states = {"Each": state, "Done": {"Type": "Succeed"}, "Caught": {"Type": "Succeed"}}
    return {"StartAt": "Each", "States": states}


def run(definition: dict[str, Any], items: list[int]) -> Run:
    with Workbench(definition, {}, {"process": process}, pace=FAST) as bench:
        done = bench.start({"items": items}, name="mapped").wait()
        assert done.children is not None
        return done


def test_results_are_collected_in_the_order_of_the_items() -> None:
    done = run(each(MaxConcurrency=3), list(range(10)))
    assert [result["value"] for result in done.output["results"]] == list(range(10))


def test_a_failing_child_fails_the_map() -> None:
    done = run(each(), [1, -1, 2])
    assert (done.status, done.error) == ("FAILED", EXCEEDED)
    types = [event["type"] for event in done.history]
    assert types[-3:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]


def test_a_failing_child_is_caught_by_the_thresholds_name() -> None:
    catch = [{"ErrorEquals": [EXCEEDED], "ResultPath": "$.error", "Next": "Caught"}]
    assert run(each(Catch=catch), [-1]).path == ["Each", "Caught"]


def test_a_failed_map_is_retried() -> None:
    retry = [{"ErrorEquals": [EXCEEDED], "IntervalSeconds": 5, "MaxAttempts": 1}]
    done = run(each(Retry=retry), [-1])
    assert done.status == "FAILED"
    assert [event["type"] for event in done.history].count("MapRunStarted") == 2


def test_after_too_many_failures_no_further_child_starts() -> None:
    with Workbench(each(MaxConcurrency=1), {}, {"process": process}, pace=FAST) as bench:
        done = bench.start({"items": [-1, 1, 2, 3]}).wait()
        assert [child.status for child in done.children] == ["FAILED"]


@pytest.mark.parametrize(
    ("tolerance", "items", "status"),
    [
        ({"ToleratedFailureCount": 0}, [1, -1], "FAILED"),
        ({"ToleratedFailurePercentage": 0}, [1, -1], "FAILED"),
        ({"ToleratedFailureCount": 1}, [1, -1, 2], "SUCCEEDED"),
        ({"ToleratedFailureCount": 1}, [1, -1, -2], "FAILED"),
        ({"ToleratedFailurePercentage": 50}, [1, -1, 2, -2], "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 25.5}, [1, -1, 2, -2], "FAILED"),
        ({"ToleratedFailureCount": 3, "ToleratedFailurePercentage": 10}, [1, -1], "FAILED"),
        ({"ToleratedFailureCountPath": "$.items[0]"}, [1, -1, 2], "SUCCEEDED"),
    ],
)
def test_failures_are_tolerated_up_to_the_threshold(
    tolerance: dict[str, Any], items: list[int], status: str
) -> None:
    assert run(each(**tolerance), items).status == status


def test_tolerated_failures_leave_the_other_results() -> None:
    done = run(each(ToleratedFailureCount=1), [1, -1, 2])
    assert [result["value"] for result in done.output["results"]] == [1, 2]


def test_a_map_over_nothing_succeeds() -> None:
    assert run(each(), []).output["results"] == []


def test_children_are_executions_with_arns_inputs_and_histories_of_their_own() -> None:
    with Workbench(each(), {}, {"process": process}, pace=FAST) as bench:
        done = bench.start({"items": [7]}, name="mapped").wait()
        states = boto3.client("stepfunctions")
        (map_run,) = states.list_map_runs(executionArn=done.arn)["mapRuns"]
        (child,) = states.list_executions(mapRunArn=map_run["mapRunArn"])["executions"]
        machine = bench.state_machine.arn
        uuid = "[0-9a-f-]{36}"
        assert re.fullmatch(machine.replace("stateMachine", "mapRun") + f"/Each:{uuid}", map_run["mapRunArn"])
        execution = machine.replace("stateMachine", "execution")
        assert re.fullmatch(execution + f"/Each:{uuid}", child["executionArn"])
        assert child["stateMachineArn"] == map_run["stateMachineArn"] == machine + "/Each"
        described = states.describe_execution(executionArn=child["executionArn"])
        assert described["mapRunArn"] == map_run["mapRunArn"]
        assert json.loads(described["input"]) == {"value": 7, "index": 0, "run": "mapped"}
        assert json.loads(described["output"]) == {"value": 7}
        history = states.get_execution_history(executionArn=child["executionArn"])["events"]
        assert [event["type"] for event in history] == [
            "ExecutionStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskSucceeded",
            "TaskStateExited",
            "ExecutionSucceeded",
        ]
        listed = states.list_executions(stateMachineArn=machine)["executions"]
        assert [execution["name"] for execution in listed] == ["mapped"]


def test_a_map_run_counts_its_children() -> None:
    with Workbench(each(ToleratedFailureCount=1), {}, {"process": process}, pace=FAST) as bench:
        done = bench.start({"items": [1, -1, 2]}).wait()
        states = boto3.client("stepfunctions")
        arn = states.list_map_runs(executionArn=done.arn)["mapRuns"][0]["mapRunArn"]
        described = states.describe_map_run(mapRunArn=arn)
    assert described["status"] == "SUCCEEDED"
    assert described["toleratedFailureCount"] == 1
    for counts in (described["itemCounts"], described["executionCounts"]):
        assert (counts["total"], counts["succeeded"], counts["failed"], counts["running"]) == (3, 2, 1, 0)


def test_an_unknown_map_run_is_refused() -> None:
    with Workbench(each(), {}, {"process": process}, pace=FAST) as bench:
        states = boto3.client("stepfunctions")
        arn = bench.state_machine.arn.replace("stateMachine", "mapRun") + "/Each:none"
        for call in (states.describe_map_run, states.list_executions):
            with pytest.raises(ClientError) as caught:
                call(mapRunArn=arn)
            assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


def test_no_more_children_run_at_once_than_max_concurrency_says() -> None:
    lock = threading.Lock()
    running: list[int] = [0]
    seen: list[int] = []

    def count(event: Any, context: Any) -> Any:
        with lock:
            running[0] += 1
            seen.append(running[0])
        threading.Event().wait(0.01)
        with lock:
            running[0] -= 1
        return {"value": 1}

    with Workbench(each(MaxConcurrency=2), {}, {"process": count}, pace=FAST) as bench:
        assert bench.start({"items": list(range(12))}).wait(PATIENCE_SECONDS).status == "SUCCEEDED"
    assert max(seen) == 2


def test_stopping_the_execution_aborts_its_children_and_its_map_run() -> None:
    held = threading.Event()
    with Workbench(
        each(MaxConcurrency=2), {}, {"process": lambda event, context: held.wait()}, pace=FAST
    ) as bench:
        run = bench.start({"items": [1, 2, 3]})
        bench.wait_until(lambda: len(run.children) == 2)
        run.stop("Stopped")
        assert [child.wait().status for child in run.children] == ["ABORTED", "ABORTED"]
        states = boto3.client("stepfunctions")
        arn = states.list_map_runs(executionArn=run.arn)["mapRuns"][0]["mapRunArn"]
        bench.wait_until(lambda: states.describe_map_run(mapRunArn=arn)["status"] == "ABORTED")
        held.set()


def reading(key: str) -> dict[str, Any]:
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": "bucket", "Key": key},
    }
    definition = each(ItemReader=reader)
    del definition["States"]["Each"]["ItemsPath"]
    return definition


def test_items_are_read_from_a_json_object_in_s3() -> None:
    with Workbench(reading("items.json"), {}, {"process": process}, pace=FAST) as bench:
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="items.json", Body=b"[3, 4]")
        done = bench.start({"kept": True}).wait()
    assert [result["value"] for result in done.output["results"]] == [3, 4]
    assert done.output["kept"] is True


@pytest.mark.parametrize("body", [None, b"{}", b"no json"])
def test_items_that_cannot_be_read_fail_the_map_with_item_reader_failed(body: bytes | None) -> None:
    with Workbench(reading("items.json"), {}, {"process": process}, pace=FAST) as bench:
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        if body is not None:
            s3.put_object(Bucket="bucket", Key="items.json", Body=body)
        done = bench.start().wait()
    assert (done.status, done.error) == ("FAILED", "States.ItemReaderFailed")


def test_the_result_writers_manifest_lists_files_with_the_results() -> None:
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "bucket", "Prefix": "out"},
    }
    definition = each(ResultWriter=writer, ToleratedFailureCount=1)
    with Workbench(definition, {}, {"process": process}, pace=FAST) as bench:
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        done = bench.start({"items": [5, -1]}).wait()

        def read(key: str) -> Any:
            return json.loads(s3.get_object(Bucket="bucket", Key=key)["Body"].read())

        manifest = read(done.output["results"]["ResultWriterDetails"]["Key"])
        (succeeded,) = manifest["ResultFiles"]["SUCCEEDED"]
        (failed,) = manifest["ResultFiles"]["FAILED"]
        assert [json.loads(result["Output"]) for result in read(succeeded["Key"])] == [{"value": 5}]
        assert [result["Error"] for result in read(failed["Key"])] == ["BadRange"]
