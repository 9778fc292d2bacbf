"""What the definition check finds, and what a moto without a private name says."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from local.stepfunctions.definition_check import findings
from local.stepfunctions.patching import PrivateNameMissingError, original, replace

TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}}
DONE = {"Type": "Succeed"}


def found(first: dict[str, Any], **others: dict[str, Any]) -> list[str]:
    states = {"First": first, "Done": DONE, **others}
    return findings(json.dumps({"StartAt": "First", "States": states}))


def test_a_sound_definition_has_no_findings() -> None:
    assert found({**TASK, "Next": "Done"}) == []


@pytest.mark.parametrize(
    ("first", "finding"),
    [
        ({**TASK, "Next": "Nowhere"}, "First: Next names 'Nowhere', which does not exist"),
        (
            {**TASK, "Next": "Done", "Catch": [{"ErrorEquals": ["E"], "Next": "Nowhere"}]},
            "First: Catch 1 names 'Nowhere', which does not exist",
        ),
        (
            {
                "Type": "Choice",
                "Choices": [{"Variable": "$.x", "IsNull": True, "Next": "Nowhere"}],
                "Default": "Done",
            },
            "First: choice 1 names 'Nowhere', which does not exist",
        ),
        (
            {
                "Type": "Choice",
                "Choices": [{"Variable": "$.x", "IsNull": True, "Next": "Done"}],
                "Default": "Nowhere",
            },
            "First: Default names 'Nowhere', which does not exist",
        ),
        ({**TASK, "End": True}, "Done: no state leads here"),
        (
            {
                **TASK,
                "Next": "Done",
                "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["DatastoreBusy"]}],
            },
            "First: States.ALL must stand alone, in the last Retry",
        ),
    ],
)
def test_what_the_parser_does_not_look_at_is_found(first: dict[str, Any], finding: str) -> None:
    assert finding in found(first)


def test_a_fail_state_may_not_name_a_reserved_error() -> None:
    broken = {"Type": "Fail", "Error": "States.Mine"}
    catch = [{"ErrorEquals": ["E"], "Next": "Broken"}]
    assert found({**TASK, "Next": "Done", "Catch": catch}, Broken=broken) == [
        "Broken: Error may not begin with 'States.'"
    ]


def test_states_inside_a_map_are_looked_at() -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Inner",
        "States": {"Inner": {**TASK, "Next": "Nowhere"}},
    }
    first = {"Type": "Map", "ItemProcessor": processor, "Next": "Done"}
    assert found(first) == ["First/ItemProcessor/Inner: Next names 'Nowhere', which does not exist"]


def test_what_is_no_amazon_states_language_is_found() -> None:
    (finding,) = found({**TASK, "Next": "Done", "HeartBeat": 5})
    assert finding.startswith("not Amazon States Language: ")
    assert "HeartBeat" in finding
    assert len(finding) < 300


def test_what_is_no_json_is_found() -> None:
    (finding,) = findings("{")
    assert finding.startswith("not JSON: ")


def test_a_private_name_that_is_gone_is_an_error_that_names_the_version() -> None:
    owner = ModuleType("somewhere")
    with pytest.raises(PrivateNameMissingError, match=r"moto \d+\.\d+\.\d+ has no somewhere\._gone"):
        original(owner, "_gone")


def test_replacing_twice_keeps_what_was_shipped() -> None:
    class Owner:
        def method(self) -> str:
            return "shipped"

    shipped = Owner.method
    replace(Owner, "method", lambda self: "first")
    replace(Owner, "method", lambda self: "second")
    assert original(Owner, "method") is shipped
    assert Owner().method() == "second"
