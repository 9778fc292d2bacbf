"""Every service call of a state machine is allowed by its role, and the role allows nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from healthlake_export.export_planning import items_key
from local.testing.state_machine_reader import PlacedState, placeholders, states
from local.testing.template_reader import Expanded, text

Call = tuple[str, str]
_Calls = Callable[[Mapping[str, Any], Any, Expanded], Iterator[Call]]

# Every action that the states of a machine call.
ACTIONS: Mapping[str, tuple[str, ...]] = {
    "healthlake_export": (
        "lambda:InvokeFunction",
        "sqs:SendMessage",
        "dynamodb:GetItem",
        "s3:GetObject",
        "states:StartExecution",
        "states:DescribeExecution",
        "states:StopExecution",
    ),
    "dlq_redrive": (
        "lambda:InvokeFunction",
        "sqs:StartMessageMoveTask",
        "sqs:ListMessageMoveTasks",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "states:DescribeExecution",
    ),
}

# What a role needs beside the calls of its states, with the reason why no resource is named.
WITHOUT_A_RESOURCE: Mapping[str, str] = {
    "logs:CreateLogDelivery": "CloudWatch Logs names no resource for the delivery of execution logs",
    "logs:GetLogDelivery": "as above",
    "logs:UpdateLogDelivery": "as above",
    "logs:DeleteLogDelivery": "as above",
    "logs:ListLogDeliveries": "as above",
    "logs:PutResourcePolicy": "as above",
    "logs:DescribeResourcePolicies": "as above",
    "logs:DescribeLogGroups": "as above",
    "xray:PutTraceSegments": "X-Ray names no resource",
    "xray:PutTelemetryRecords": "as above",
    "xray:GetSamplingRules": "as above",
    "xray:GetSamplingTargets": "as above",
}


def calls(machine: Any, expanded: Expanded) -> set[Call]:
    """Action and resource of everything that the states of a machine call.

    Raises KeyError for a service integration that this module knows no action for.
    """
    return {call for placed in states(machine.definition) for call in _calls_of(placed, machine, expanded)}


def _calls_of(placed: PlacedState, machine: Any, expanded: Expanded) -> Iterator[Call]:
    if placed.kind == "Task":
        integration = placed.definition["Resource"].partition(":::")[2].partition(".")[0]
        yield from _INTEGRATIONS[integration](placed.definition["Parameters"], machine, expanded)
    processor = placed.definition.get("ItemProcessor", {})
    if processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
        name = _machine_name(machine, expanded)
        yield "states:StartExecution", _arn("states", f"stateMachine:{name}")
        yield "states:DescribeExecution", _arn("states", f"execution:{name}/*")
        yield "states:StopExecution", _arn("states", f"execution:{name}/*")
        yield "states:DescribeExecution", _arn("states", f"execution:{name}:*")
        yield "states:StopExecution", _arn("states", f"execution:{name}:*")
    if "ItemReader" in placed.definition:
        assert placed.definition["ItemReader"]["Resource"].endswith(":::s3:getObject")
        yield "s3:GetObject", "${HubBucket.Arn}/" + items_key("RUN").partition("RUN")[0] + "*"


def _invoke(parameters: Mapping[str, Any], machine: Any, _: Expanded) -> Iterator[Call]:
    function = text(_supplied(parameters["FunctionName"], machine))
    yield "lambda:InvokeFunction", function


def _send(parameters: Mapping[str, Any], machine: Any, _: Expanded) -> Iterator[Call]:
    queue = text(_supplied(parameters["QueueUrl"], machine)).removeprefix("${").removesuffix("}")
    yield "sqs:SendMessage", f"${{{queue}.Arn}}"


def _item(action: str) -> _Calls:
    def called(parameters: Mapping[str, Any], machine: Any, _: Expanded) -> Iterator[Call]:
        table = text(_supplied(parameters["TableName"], machine)).removeprefix("${").removesuffix("}")
        yield action, f"${{{table}.Arn}}"

    return called


def _any_queue(*actions: str) -> _Calls:
    """Queues that are found by their tags: any of the stack, by the names that CloudFormation gives them.

    What a task for messages needs follows "Amazon SQS API permissions: Actions and resource reference" of the
    Amazon SQS Developer Guide: SQS receives, sends and deletes in the name of whoever asks for the move.
    """

    def called(parameters: Mapping[str, Any], _: Any, __: Expanded) -> Iterator[Call]:
        assert all(name.endswith(".$") for name in parameters if name.startswith(("Queue", "Source")))
        yield from ((action, _arn("sqs", "${AWS::StackName}-*")) for action in actions)

    return called


def _describe(_: Mapping[str, Any], machine: Any, expanded: Expanded) -> Iterator[Call]:
    yield "states:DescribeExecution", _arn("states", f"execution:{_machine_name(machine, expanded)}:*")


_OF_MOVE_TASKS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")

_INTEGRATIONS: Mapping[str, _Calls] = {
    "lambda:invoke": _invoke,
    "sqs:sendMessage": _send,
    "dynamodb:getItem": _item("dynamodb:GetItem"),
    "dynamodb:updateItem": _item("dynamodb:UpdateItem"),
    "aws-sdk:sfn:describeExecution": _describe,
    "aws-sdk:sqs:getQueueAttributes": _any_queue("sqs:GetQueueAttributes"),
    "aws-sdk:sqs:listMessageMoveTasks": _any_queue("sqs:ListMessageMoveTasks", *_OF_MOVE_TASKS),
    "aws-sdk:sqs:startMessageMoveTask": _any_queue(
        "sqs:StartMessageMoveTask", "sqs:SendMessage", *_OF_MOVE_TASKS
    ),
}


def _supplied(written: str, machine: Any) -> Any:
    (name,) = placeholders(written)
    return machine.substitutions[name]


def _arn(service: str, resource: str) -> str:
    return f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"


def _machine_name(machine: Any, expanded: Expanded) -> str:
    return text(expanded.properties(machine.resource)["StateMachineName"])


def _role(machine: Any) -> str:
    return f"{machine.resource}Role"


def _granted(machine: Any, expanded: Expanded) -> set[Call]:
    return {
        (action, resource)
        for one in expanded.granted(_role(machine))
        if one.effect == "Allow"
        for action in one.actions
        for resource in one.resources
    }


def test_every_call_is_allowed_by_the_role_on_exactly_its_resource(machine: Any, expanded: Expanded) -> None:
    for action, resource in calls(machine, expanded):
        assert resource in expanded.resources_for(_role(machine), action), (action, resource)


def test_the_role_allows_nothing_that_no_state_calls(machine: Any, expanded: Expanded) -> None:
    expected = {(action.rstrip("*"), resource) for action, resource in calls(machine, expanded)}
    expected |= {("kms:Decrypt", "${HubKey.Arn}"), ("kms:GenerateDataKey", "${HubKey.Arn}")}
    expected |= {(action, "*") for action in WITHOUT_A_RESOURCE}
    assert {(action.rstrip("*"), resource) for action, resource in _granted(machine, expanded)} == expected


def test_the_role_belongs_to_the_state_machine(machine: Any, expanded: Expanded) -> None:
    assert text(expanded.properties(machine.resource)["RoleArn"]) == f"${{{_role(machine)}.Arn}}"


def test_executions_are_logged_without_their_data(machine: Any, expanded: Expanded) -> None:
    logging = expanded.properties(machine.resource)["LoggingConfiguration"]
    assert logging["IncludeExecutionData"] is False
    assert logging["Level"] != "OFF"


def test_executions_and_children_are_standard_ones(machine: Any, expanded: Expanded) -> None:
    assert expanded.properties(machine.resource)["StateMachineType"] == "STANDARD"
    for placed in states(machine.definition):
        processor = placed.definition.get("ItemProcessor", {}).get("ProcessorConfig", {})
        assert processor.get("ExecutionType", "STANDARD") == "STANDARD", placed.name


@pytest.mark.parametrize(("machine", "actions"), ACTIONS.items(), indirect=["machine"])
def test_the_states_call_nothing_that_is_not_named_here(
    machine: Any, expanded: Expanded, actions: tuple[str, ...]
) -> None:
    assert {action for action, _ in calls(machine, expanded)} == set(actions)


@pytest.mark.parametrize(
    ("machine", "action"),
    [(name, action) for name, actions in ACTIONS.items() for action in actions],
    indirect=["machine"],
)
def test_a_missing_permission_is_found(machine: Any, expanded: Expanded, action: str) -> None:
    """The same comparison as above, with one right taken away."""
    resources = json.loads(json.dumps(expanded.resources))
    for policy in resources[_role(machine)]["Properties"]["Policies"]:
        for one in policy["PolicyDocument"]["Statement"]:
            actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
            one["Action"] = [kept for kept in actions if kept.rstrip("*") != action]
    poorer = Expanded(resources)
    lacking = {
        called
        for called, resource in calls(machine, expanded)
        if resource not in poorer.resources_for(_role(machine), called)
    }
    assert lacking == {action}
