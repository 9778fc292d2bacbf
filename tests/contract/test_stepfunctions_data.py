"""Paths, the context object and SDK integrations: how data moves through an execution."""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest

from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import ROLE_ARN, Run, Workbench

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def run(states: dict[str, Any], document: Any = None, **functions: Any) -> Run:
    definition = {"StartAt": next(iter(states)), "States": states}
    with Workbench(definition, {}, functions, pace=Pace(delays=0.0)) as bench:
        return bench.start(document, name="named").wait()


def shown(document: Any = None, **paths: str) -> Any:
    parameters = {f"{name}.$": path for name, path in paths.items()}
    return run({"Show": {"Type": "Pass", "Parameters": parameters, "End": True}}, document).output


def test_the_context_object_describes_the_execution() -> None:
    output = shown({"a": 1}, execution="$$.Execution", machine="$$.StateMachine")
    execution = output["execution"]
    assert execution["Id"] == "arn:aws:states:us-east-1:123456789012:execution:workflow:named"
    assert (execution["Name"], execution["Input"], execution["RedriveCount"]) == ("named", {"a": 1}, 0)
    assert execution["RoleArn"] == ROLE_ARN
    assert INSTANT.fullmatch(execution["StartTime"])
    assert output["machine"]["Name"] == "workflow"


def test_the_context_object_describes_the_state() -> None:
    state = shown(state="$$.State")["state"]
    assert state["Name"] == "Show"
    assert INSTANT.fullmatch(state["EnteredTime"])


def test_a_path_through_an_array_index_gives_the_value_itself() -> None:
    document = {"items": [{"name": "a", "more": [{"x": 1}]}]}
    output = shown(document, name="$.items[0].name", x="$.items[0].more[0].x", item="$.items[0]")
    assert output == {"name": "a", "x": 1, "item": document["items"][0]}


def test_a_path_with_a_wildcard_gives_a_list() -> None:
    assert shown({"items": [{"n": 1}, {"n": 2}]}, ns="$.items[*].n") == {"ns": [1, 2]}
    assert shown({"items": []}, ns="$.items[*].n") == {"ns": []}


def test_a_path_to_nothing_fails_the_execution_and_names_the_path() -> None:
    done = run({"Show": {"Type": "Pass", "Parameters": {"x.$": "$.none"}, "End": True}}, {"a": 1})
    assert (done.status, done.error) == ("FAILED", "States.Runtime")
    assert "$.none" in str(done.cause)


@pytest.mark.parametrize(
    ("text", "is_timestamp"),
    [
        ("2026-11-20T18:40:00Z", True),
        ("2026-11-20T18:40:00.123Z", True),
        ("2026-11-20T18:40:00+01:00", True),
        ("2026-11-20T18:40:00", False),
        ("2026-11-20 18:40:00Z", False),
        ("2026-13-20T18:40:00Z", False),
    ],
)
def test_a_choice_knows_a_timestamp_by_rfc_3339(text: str, is_timestamp: bool) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.at", "IsTimestamp": True, "Next": "Timestamp"}],
        "Default": "Text",
    }
    done = run(
        {"Which?": choice, "Timestamp": {"Type": "Succeed"}, "Text": {"Type": "Succeed"}}, {"at": text}
    )
    assert done.path[-1] == ("Timestamp" if is_timestamp else "Text")


def test_the_map_item_is_known_inside_the_tasks_of_an_inline_iteration() -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {
            "FunctionName": "echo",
            "Payload": {"index.$": "$$.Map.Item.Index", "value.$": "$$.Map.Item.Value"},
        },
        "OutputPath": "$.Payload",
        "End": True,
    }
    each = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": {"StartAt": "Echo", "States": {"Echo": task}},
        "End": True,
    }
    done = run({"Each": each}, {"items": ["a", "b"]}, echo=lambda event, context: event)
    assert done.output == [{"index": 0, "value": "a"}, {"index": 1, "value": "b"}]


def test_an_inline_map_takes_many_items_one_after_the_other() -> None:
    processor = {"StartAt": "Keep", "States": {"Keep": {"Type": "Pass", "End": True}}}
    each = {"Type": "Map", "ItemsPath": "$", "MaxConcurrency": 1, "ItemProcessor": processor, "End": True}
    items = list(range(1200))
    assert run({"Each": each}, items).output == items


def test_describing_an_execution_from_a_state_machine_takes_and_gives_pascal_case_and_text_times() -> None:
    states = {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:sfn:describeExecution",
            "Parameters": {"ExecutionArn.$": "$$.Execution.Id"},
            "ResultPath": "$.owner",
            "Next": "Is It Alive?",
        },
        "Is It Alive?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.owner.Status", "StringEquals": "RUNNING", "Next": "Alive"}],
            "Default": "Gone",
        },
        "Alive": {"Type": "Succeed"},
        "Gone": {"Type": "Succeed"},
    }
    done = run(states)
    assert done.path[-1] == "Alive"
    assert INSTANT.fullmatch(done.output["owner"]["StartDate"])
    assert done.output["owner"]["Name"] == "named"


def test_an_object_is_read_as_text_with_its_metadata() -> None:
    read = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
        "Parameters": {"Bucket": "bucket", "Key": "k"},
        "End": True,
    }
    with Workbench({"StartAt": "Read", "States": {"Read": read}}, {}, {}) as bench:
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="k", Body=b'{"a": 1}')
        output = bench.start().wait().output
    assert json.loads(output["Body"]) == {"a": 1}
    assert INSTANT.fullmatch(output["LastModified"])
    assert output["ETag"]


def test_an_item_keeps_its_attribute_types() -> None:
    item = {"pk": {"S": "a"}, "held": {"BOOL": True}, "none": {"NULL": True}, "m": {"M": {"n": {"N": "1"}}}}
    states = {
        "Put": {
            "Type": "Task",
            "Resource": "arn:aws:states:::dynamodb:putItem",
            "Parameters": {"TableName": "t", "Item": item},
            "Next": "Get",
        },
        "Get": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:dynamodb:getItem",
            "Parameters": {"TableName": "t", "Key": {"pk": {"S": "a"}}},
            "OutputPath": "$.Item",
            "End": True,
        },
    }
    with Workbench({"StartAt": "Put", "States": states}, {}, {}) as bench:
        boto3.client("dynamodb").create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        assert bench.start().wait().output == item


def test_a_state_machine_started_from_another_gets_its_input_as_json() -> None:
    states = {
        "Is It The Inner?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.inner", "IsPresent": True, "Next": "Inner"}],
            "Default": "Start",
        },
        "Inner": {"Type": "Succeed"},
        "Start": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {"StateMachineArn.$": "$$.StateMachine.Id", "Input": {"inner": {"n": 1}}},
            "ResultSelector": {"output.$": "$.Output", "status.$": "$.Status"},
            "End": True,
        },
    }
    assert run(states).output == {"output": {"inner": {"n": 1}}, "status": "SUCCEEDED"}


@pytest.mark.parametrize("size", [262_000, 262_200])
def test_state_data_may_have_256_kib(size: int) -> None:
    states = {
        "Make": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "make", "Payload": {}},
            "OutputPath": "$.Payload",
            "End": True,
        }
    }
    done = run(states, make=lambda event, context: "x" * size)
    expected = "SUCCEEDED" if size < 262_100 else "FAILED"
    assert (done.status, done.error) == (
        expected,
        None if expected == "SUCCEEDED" else "States.DataLimitExceeded",
    )
