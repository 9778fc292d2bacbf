"""What Retry and Catch see when a task fails: "Handling errors in Step Functions workflows"."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest

from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Run, Workbench, function_arn

FAST = Pace(delays=0.0, timeouts=0.05)
QUARTER_MEGABYTE = 256 * 1024


class DatastoreBusy(Exception):
    pass


class RunSuperseded(Exception):
    pass


def raising(*failures: Exception | None) -> Any:
    """A handler that raises these one after the other, and answers where there is None or nothing left."""
    left = list(failures)

    def handler(event: Any, context: Any) -> Any:
        failure = left.pop(0) if left else None
        if failure is not None:
            raise failure
        return {"answered": event}

    return handler


def task(**fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function_arn("f"), "Payload.$": "$"},
        **fields,
    }


def machine(first: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    ends = {} if first["Type"] == "Fail" or "Next" in first else {"End": True}
    others.setdefault("Caught", {"Type": "Succeed"})
    return {"StartAt": "First", "States": {"First": {**first, **ends}, **others}}


def catching(*errors: str) -> list[dict[str, Any]]:
    return [{"ErrorEquals": list(errors), "ResultPath": "$.error", "Next": "Caught"}]


def run(definition: dict[str, Any], document: Any = None, **functions: Any) -> Run:
    with Workbench(definition, {}, functions, pace=FAST) as bench:
        return bench.start(document).wait()


def test_a_handlers_exception_is_caught_by_its_class_name() -> None:
    done = run(machine(task(Catch=catching("RunSuperseded"))), f=raising(RunSuperseded("gone")))
    assert done.path == ["First", "Caught"]
    assert done.output["error"]["Error"] == "RunSuperseded"


def test_an_exception_of_another_class_is_not_caught() -> None:
    done = run(machine(task(Catch=catching("DatastoreBusy"))), f=raising(RunSuperseded("gone")))
    assert (done.status, done.error) == ("FAILED", "RunSuperseded")


def test_the_cause_of_a_handlers_exception_is_lambdas_error_object() -> None:
    done = run(machine(task()), f=raising(RunSuperseded("gone")))
    cause = json.loads(str(done.cause))
    assert cause["errorMessage"] == "gone"
    assert cause["errorType"] == "RunSuperseded"
    assert any("handler" in frame for frame in cause["stackTrace"])


def test_a_retrier_counts_only_its_own_errors() -> None:
    retry = [
        {"ErrorEquals": ["DatastoreBusy"], "MaxAttempts": 2},
        {"ErrorEquals": ["RunSuperseded"], "MaxAttempts": 1},
    ]
    busy, gone = DatastoreBusy("b"), RunSuperseded("g")
    done = run(machine(task(Retry=retry)), f=raising(busy, gone, busy))
    assert done.status == "SUCCEEDED"
    done = run(machine(task(Retry=retry)), f=raising(busy, gone, busy, busy))
    assert (done.status, done.error) == ("FAILED", "DatastoreBusy")


def test_a_retry_that_gives_up_is_followed_by_the_catch() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]
    done = run(
        machine(task(Retry=retry, Catch=catching("DatastoreBusy"))), f=raising(*[DatastoreBusy("b")] * 2)
    )
    assert done.path == ["First", "Caught"]
    failures = [event for event in done.history if event["type"] == "TaskFailed"]
    assert len(failures) == 2


def test_a_function_that_does_not_exist_fails_under_lambdas_name() -> None:
    done = run(machine(task(Catch=catching("Lambda.ResourceNotFoundException"))))
    assert done.path == ["First", "Caught"]


def test_a_function_that_answers_no_json_fails_with_marshal_error() -> None:
    done = run(machine(task()), f=lambda event, context: object())
    assert done.error == "Runtime.MarshalError"


@pytest.mark.parametrize("resource", ["arn:aws:states:::lambda:invoke", function_arn("f")])
def test_a_function_error_without_a_type_is_lambda_unknown(
    monkeypatch: pytest.MonkeyPatch, resource: str
) -> None:
    payload = b'{"errorMessage":"Task timed out after 3.00 seconds"}'
    answer = {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(payload)}
    with Workbench(machine(task(Resource=resource)), {}, {}, pace=FAST) as bench:
        monkeypatch.setattr(bench.client("lambda"), "invoke", lambda **_: answer)
        done = bench.start().wait()
    assert (done.error, done.cause) == ("Lambda.Unknown", payload.decode())


def test_task_failed_matches_a_handlers_exception_but_no_timeout() -> None:
    done = run(machine(task(Catch=catching("States.TaskFailed"))), f=raising(RunSuperseded("gone")))
    assert done.path == ["First", "Caught"]
    wait = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}},
        "TimeoutSeconds": 2,
        "Catch": catching("States.TaskFailed"),
    }
    assert run(machine(wait), f=raising()).error == "States.Timeout"


def test_too_large_a_result_is_not_caught_by_all_but_by_its_name() -> None:
    def large(event: Any, context: Any) -> str:
        return "x" * QUARTER_MEGABYTE

    done = run(machine(task(Catch=catching("States.ALL"))), f=large)
    assert (done.status, done.error) == ("FAILED", "States.DataLimitExceeded")
    done = run(machine(task(Catch=catching("States.DataLimitExceeded"))), f=large)
    assert done.path == ["First", "Caught"]


def test_a_runtime_error_is_not_caught_by_all() -> None:
    bad_path = {"Type": "Pass", "Parameters": {"x.$": "$.none"}}
    parallel = {
        "Type": "Parallel",
        "Branches": [{"StartAt": "B", "States": {"B": {**bad_path, "End": True}}}],
        "Catch": catching("States.ALL"),
    }
    done = run(machine(parallel))
    assert (done.status, done.error) == ("FAILED", "States.Runtime")


def test_fail_takes_error_and_cause_from_paths() -> None:
    first = {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "$.c"}
    definition = {"StartAt": "First", "States": {"First": first}}
    done = run(definition, {"e": "ExportFailed", "c": "the job failed"})
    assert (done.status, done.error, done.cause) == ("FAILED", "ExportFailed", "the job failed")


def test_fail_passes_on_a_reserved_error_name() -> None:
    definition = {"StartAt": "First", "States": {"First": {"Type": "Fail", "ErrorPath": "$.e"}}}
    assert run(definition, {"e": "States.Timeout"}).error == "States.Timeout"


def test_the_error_of_a_parallel_branch_reaches_its_catch() -> None:
    branch = {"StartAt": "B", "States": {"B": {"Type": "Fail", "Error": "BranchBroke", "Cause": "c"}}}
    first = {"Type": "Parallel", "Branches": [branch], "Catch": catching("BranchBroke")}
    assert run(machine(first)).path[-1] == "Caught"


def test_a_reserved_error_name_comes_out_of_a_parallel_branch() -> None:
    inner = {
        **task(TimeoutSeconds=1),
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "End": True,
    }
    inner["Parameters"] = {"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}}
    branch = {"StartAt": "B", "States": {"B": inner}}
    first = {"Type": "Parallel", "Branches": [branch], "Catch": catching("States.Timeout")}
    assert run(machine(first), f=raising()).path[-1] == "Caught"


SERVICE_REFUSALS = [
    (
        "arn:aws:states:::dynamodb:putItem",
        {"TableName": "t", "Item": {"pk": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(pk)"},
        "DynamoDB.ConditionalCheckFailedException",
    ),
    (
        "arn:aws:states:::aws-sdk:dynamodb:putItem",
        {"TableName": "t", "Item": {"pk": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(pk)"},
        "DynamoDb.ConditionalCheckFailedException",
    ),
    (
        "arn:aws:states:::aws-sdk:dynamodb:getItem",
        {"TableName": "none", "Key": {"pk": {"S": "a"}}},
        "DynamoDb.ResourceNotFoundException",
    ),
    (
        "arn:aws:states:::sqs:sendMessage",
        {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/none", "MessageBody": "x"},
        "SQS.QueueDoesNotExistException",
    ),
    (
        "arn:aws:states:::aws-sdk:sqs:sendMessage",
        {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/none", "MessageBody": "x"},
        "Sqs.QueueDoesNotExistException",
    ),
    ("arn:aws:states:::aws-sdk:s3:getObject", {"Bucket": "bucket", "Key": "none"}, "S3.NoSuchKeyException"),
    (
        "arn:aws:states:::aws-sdk:sfn:describeExecution",
        {"ExecutionArn": "arn:aws:states:us-east-1:123456789012:execution:workflow:none"},
        "Sfn.ExecutionDoesNotExistException",
    ),
    (
        "arn:aws:states:::states:startExecution",
        {"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:none", "Input": {}},
        "StepFunctions.StateMachineDoesNotExistException",
    ),
]


@pytest.mark.parametrize(("resource", "parameters", "error"), SERVICE_REFUSALS)
def test_a_services_refusal_keeps_its_aws_name(resource: str, parameters: Any, error: str) -> None:
    first = {"Type": "Task", "Resource": resource, "Parameters": parameters}
    with Workbench(machine(first), {}, {}, pace=FAST) as bench:
        boto3.client("s3").create_bucket(Bucket="bucket")
        boto3.client("dynamodb").create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("dynamodb").put_item(TableName="t", Item={"pk": {"S": "a"}})
        done = bench.start().wait()
    assert (done.status, done.error) == ("FAILED", error)
    assert "Service: " in str(done.cause)
    assert "Request ID: " in str(done.cause)


def test_a_refusal_without_a_modelled_name_has_the_base_exception_and_its_code_in_the_cause() -> None:
    parameters = {"TableName": "t", "Key": {"wrong": {"S": "a"}}}
    first = {"Type": "Task", "Resource": "arn:aws:states:::dynamodb:getItem", "Parameters": parameters}
    with Workbench(machine(first), {}, {}, pace=FAST) as bench:
        boto3.client("dynamodb").create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        done = bench.start().wait()
    assert done.error == "DynamoDB.AmazonDynamoDBException"
    assert "Error Code: ValidationException" in str(done.cause)
