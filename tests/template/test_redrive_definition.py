"""What the redrive's definition has to hold, whichever way an execution takes through it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

MAP = "Redrive Each Queue"
DEATHS = (
    "States.Timeout",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "Lambda.Unknown",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
)
MAY_HAVE_SENT = ("AwsCallFailed", "UnexpectedError", "TargetRefused", "TargetTookPart", "NotDeleted")

_CAUSE = r"\$\.(?:failure\.)?Cause[^\w]"


@pytest.fixture
def definition(root: Path) -> dict[str, Any]:
    text = (root / "statemachines" / "dlq_redrive.asl.json").read_text(encoding="utf-8")
    machine: dict[str, Any] = json.loads(text)
    return machine


@pytest.fixture
def inner(definition: dict[str, Any]) -> dict[str, Any]:
    """The states of one queue."""
    states: dict[str, Any] = definition["States"][MAP]["ItemProcessor"]["States"]
    return states


def test_sqs_is_asked_to_redrive_only_after_that_was_written_down(inner: dict[str, Any]) -> None:
    starts = {name for name, state in inner.items() if "startMessageMoveTask" in str(state.get("Resource"))}
    leading_there = {
        name
        for name, state in inner.items()
        if starts & {choice["Next"] for choice in state.get("Choices", [])}
    }
    assert len(starts) == 2
    assert leading_there == {"Where Are They To Go?"}
    before = [name for name, state in inner.items() if _leads_to(state, leading_there)]
    assert before == ["Note That SQS Redrives It"]
    assert "bulkAt = :now" in inner[before[0]]["Parameters"]["UpdateExpression"]


def test_sqs_is_not_asked_to_redrive_what_was_redriven_since_the_execution_began(
    inner: dict[str, Any],
) -> None:
    """A plan may be hours old when it is carried out."""
    note = inner["Note That SQS Redrives It"]
    condition = note["Parameters"]["ConditionExpression"]
    assert note["Parameters"]["ExpressionAttributeValues"][":began"] == {"S.$": "$$.Execution.StartTime"}
    assert "redrivenAt <= :began" in condition
    assert "bulkAt <= :began" in condition
    (caught,) = [one for one in note["Catch"] if "ConditionalCheckFailed" in str(one["ErrorEquals"])]
    assert caught["Next"] == "Redrive Messages"


def test_no_error_is_read_that_may_be_missing(definition: dict[str, Any], inner: dict[str, Any]) -> None:
    """A timeout may come without a cause, and a path that leads nowhere ends an execution uncaught."""
    choices = {name for name, state in inner.items() if state["Type"] == "Choice"}
    assert not re.search(
        _CAUSE, _without(definition, "Explain Refusal", "Leave The Stack Trace Out", *choices)
    )
    for reading in (rule for name in choices for rule in _read_together(inner[name], _CAUSE)):
        assert {"Variable": "$.failure.Cause", "IsPresent": True} in reading


def test_data_that_is_too_large_is_caught_by_name(definition: dict[str, Any]) -> None:
    """States.ALL does not stand for it («Handling errors in Step Functions workflows»)."""
    catchers = definition["States"][MAP]["Catch"]
    assert ["States.DataLimitExceeded"] in [catcher["ErrorEquals"] for catcher in catchers]


@pytest.mark.parametrize("error", DEATHS)
def test_a_call_that_died_or_may_still_be_at_work_is_waited_for(inner: dict[str, Any], error: str) -> None:
    state = inner["Redrive Messages"]
    assert error not in _retried(state)
    (caught,) = [catcher["Next"] for catcher in state["Catch"] if error in catcher["ErrorEquals"]]
    assert caught == "Count The Deaths"


def test_a_call_that_failed_is_taken_for_a_redrive(inner: dict[str, Any]) -> None:
    """It may have sent something back that it could not tell of."""
    after = {catcher["Next"] for catcher in inner["Redrive Messages"]["Catch"]}
    assert after == {"Count The Deaths", "Is There A Stack Trace?"}
    assert inner["Is There A Stack Trace?"]["Default"] == "Name The Failure Of The Call"
    assert inner["Leave The Stack Trace Out"]["Next"] == "Name The Failure Of The Call"
    assert inner["Name The Failure Of The Call"]["Next"] == "Give The Lock Back"


@pytest.mark.parametrize("error", MAY_HAVE_SENT)
def test_what_may_have_sent_something_costs_a_message_no_second_try(
    inner: dict[str, Any], error: str
) -> None:
    assert error not in _retried(inner["Redrive Messages"])


def test_every_call_of_the_table_is_tried_again_when_aws_has_no_name_for_its_failure(
    inner: dict[str, Any],
) -> None:
    calls = {name: state for name, state in inner.items() if ":dynamodb:" in str(state.get("Resource"))}
    assert len(calls) > 5
    lacking = [
        name for name, state in calls.items() if "DynamoDB.AmazonDynamoDBException" not in _retried(state)
    ]
    assert lacking == []


def test_only_the_owner_changes_a_lock(inner: dict[str, Any]) -> None:
    for name, state in inner.items():
        if str(state.get("Resource")).endswith(":dynamodb:updateItem"):
            assert "#owner" in state["Parameters"]["ConditionExpression"], name


def _retried(state: Mapping[str, Any]) -> set[str]:
    return {error for retry in state["Retry"] for error in retry["ErrorEquals"]}


def _leads_to(state: Mapping[str, Any], targets: set[str]) -> bool:
    ways = [state.get("Next"), state.get("Default"), *(one["Next"] for one in state.get("Choices", []))]
    return bool(targets & set(ways))


def _read_together(rule: Any, pattern: str) -> Iterator[list[Any]]:
    """The innermost lists of rules that hold together, where one of them reads what the pattern says."""
    for key, value in rule.items() if isinstance(rule, Mapping) else enumerate(rule):
        if key == "And" and re.search(pattern, json.dumps(value)):
            yield value
        elif isinstance(value, Mapping | list):
            yield from _read_together(value, pattern)
        elif key == "Variable" and re.search(pattern, json.dumps(value)):
            yield [rule]


def _without(machine: Mapping[str, Any], *names: str) -> str:
    """The machine as JSON without these states."""

    def kept(states: Mapping[str, Any]) -> dict[str, Any]:
        return {one: state for one, state in states.items() if one not in names}

    states = kept(machine["States"])
    processor = states[MAP]["ItemProcessor"]
    inside = {"ItemProcessor": {**processor, "States": kept(processor["States"])}}
    return json.dumps({**states, MAP: {**states[MAP], **inside}})
