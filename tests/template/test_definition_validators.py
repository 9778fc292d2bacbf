"""Two validators look at every state machine file, and each catches what the other cannot see.

`sam validate` does not read ASL files. cfn-lint reads a definition that stands in a template as text, and
knows the schema of each state; the parser of the local engine with its check of transitions knows paths,
intrinsic functions and where an execution can go.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from cfnlint.api import lint_all

from local.stepfunctions.definition_check import findings as parser_findings

Definition = dict[str, Any]

SOUND: Definition = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "ask", "Payload": {}},
            "TimeoutSeconds": 5,
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
            "Next": "Was It Answered?",
        },
        "Was It Answered?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.answer", "IsPresent": True, "Next": "Answered"}],
            "Default": "Failed",
        },
        "Answered": {"Type": "Succeed"},
        "Failed": {"Type": "Fail", "Error": "NotAnswered"},
    },
}


def cfn_lint_findings(definition: Definition) -> list[str]:
    """What cfn-lint says of a definition that is put into a throw-away template as literal text."""
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": "arn:aws:iam::123456789012:role/machine",
                    "DefinitionString": _literal(definition),
                },
            }
        },
    }
    return [f"{match.rule.id}: {match.message}" for match in lint_all(json.dumps(template))]


def _literal(definition: Definition) -> str:
    """The definition without substitutions, and without one field that cfn-lint wrongly refuses.

    The schema of cfn-lint 1.53 does not know InputPath and OutputPath of Succeed states, which the Amazon
    States Language has ("Input and Output Processing": every state but Fail).
    """
    known = copy.deepcopy(definition)
    for state in known["States"].values():
        if state["Type"] == "Succeed":
            state.pop("OutputPath", None)
    text = json.dumps(known)
    return re.sub(r"\$\{(\w+)\}", lambda found: "aws" if found[1] == "Partition" else found[1], text)


def _broken(*path_and_value: Any) -> Definition:
    definition = copy.deepcopy(SOUND)
    *path, last, value = path_and_value
    target: Any = definition["States"]
    for step in path:
        target = target[step]
    target[last] = value
    return definition


def test_cfn_lint_finds_nothing_in_the_file(machine: Any) -> None:
    assert cfn_lint_findings(dict(machine.definition)) == []


def test_the_parser_and_its_check_of_transitions_find_nothing_in_the_file(machine: Any) -> None:
    assert parser_findings(machine.file_text) == []


def test_neither_validator_finds_anything_in_a_sound_definition() -> None:
    assert cfn_lint_findings(SOUND) == []
    assert parser_findings(json.dumps(SOUND)) == []


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(_broken("Ask", "MaxConcurrency", 5), id="a field of another type of state"),
        pytest.param(_broken("Failed", "Next", "Answered"), id="a Fail state that goes on"),
        pytest.param(_broken("Ask", "Result", {}), id="a result that a Task does not take"),
        pytest.param(_broken("Answered", "Retry", []), id="a Succeed state that retries"),
        pytest.param(_broken("Ask", "TimeoutSeconds", 0), id="a timeout of no time"),
    ],
)
def test_only_cfn_lint_catches(definition: Definition) -> None:
    assert cfn_lint_findings(definition)
    assert not parser_findings(json.dumps(definition))


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(_broken("Ask", "Next", "Nowhere"), id="a Next that leads nowhere"),
        pytest.param(_broken("Was It Answered?", "Default", "Nowhere"), id="a Default that leads nowhere"),
        pytest.param(_broken("Was It Answered?", "Choices", 0, "Next", "Nowhere"), id="a choice that does"),
        pytest.param(_broken("Ask", "Catch", 0, "Next", "Nowhere"), id="a Catch that leads nowhere"),
        pytest.param(_broken("Alone", {"Type": "Succeed"}), id="a state that nothing leads to"),
        pytest.param(_broken("Failed", "Error", "States.Mine"), id="an error name that is reserved"),
        pytest.param(_broken("Failed", "ErrorPath", "$.error"), id="an error both given and looked up"),
        pytest.param(_broken("Ask", "HeartbeatSeconds", 50), id="a heartbeat longer than the timeout"),
        pytest.param(
            _broken("Ask", "Retry", [{"ErrorEquals": ["Busy"], "BackoffRate": 0.5}]),
            id="a shrinking interval",
        ),
        pytest.param(
            _broken("Ask", "Retry", [{"ErrorEquals": ["Busy"], "JitterStrategy": "HALF"}]),
            id="a strange jitter",
        ),
    ],
)
def test_only_the_parser_and_its_check_catch(definition: Definition) -> None:
    assert parser_findings(json.dumps(definition))
    assert not cfn_lint_findings(definition)


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(_broken("Ask", "Timeout", 5), id="a field that no state has"),
        pytest.param(_broken("Answered", "Type", "Success"), id="a type that does not exist"),
        pytest.param(_broken("Ask", "End", True), id="a state that both ends and goes on"),
        pytest.param(_broken("Ask", "Resource", "lambda"), id="a resource that is no ARN"),
    ],
)
def test_both_catch(definition: Definition) -> None:
    assert parser_findings(json.dumps(definition))
    assert cfn_lint_findings(definition)
