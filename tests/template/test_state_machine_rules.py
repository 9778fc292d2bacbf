"""The house rules of state machine files, and that each rule finds what breaks it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.testing.state_machine_reader import PlacedState, placeholders, states

Machine = dict[str, Any]

EXPORT, REDRIVE = "healthlake_export", "dlq_redrive"

# A Task without a Catch of States.ALL, and why.
UNCAUGHT: Mapping[str, str] = {
    "Process Range": "a child of the map: its failure is the map's, whose own Catch leads to the clean-up"
}

# What the validators let pass and Step Functions refuses: paths and intrinsic functions that are none. A
# reference path leads to one node; other paths may lead to every element of a list, by `[*]` ("Using JSONPath
# paths", AWS Step Functions Developer Guide).
_STEP = r"(?:\.[A-Za-z_]\w*|\[(?:\d+|'[^']+')\])"
_STEPS = rf"(?:{_STEP}|\[\*\])"
_PATH = rf"\${_STEPS}*"
_CONTEXT_PATH = (
    r"\$\$\.(?:Execution\.(?:Id|Name|StartTime|RoleArn|RedriveCount)|State\.(?:EnteredTime|Name|RetryCount)"
    r"|StateMachine\.(?:Id|Name)|Task\.Token|Map\.Item\.Index"
    rf"|(?:Execution\.Input|Map\.Item\.Value){_STEP}*)"
)
_REFERENCE_PATH = re.compile(rf"{_CONTEXT_PATH}|\${_STEP}*")
_ANY_PATH = re.compile(rf"{_CONTEXT_PATH}|{_PATH}")

# "Intrinsic functions for JSONPath states in Step Functions": their names, their arguments, and how many of
# them one field may have.
_VALUE = rf"(?:{_CONTEXT_PATH}|{_PATH}|'(?:[^'\\]|\\.)*'|-?\d+(?:\.\d+)?|true|false|null)"
_INTRINSIC = re.compile(
    r"States\.(?:Array(?:Partition|Contains|Range|GetItem|Length|Unique)?|Base64(?:En|De)code|Format|Hash"
    r"|JsonMerge|JsonToString|StringToJson|StringSplit|Math(?:Add|Random)|UUID)"
    rf"\(\s*(?:{_VALUE}(?:\s*,\s*{_VALUE})*)?\s*\)"
)
_MOST_INTRINSICS = 10
_DONE = "null"

_WORDS_WITHOUT_CAPITALS = {"a", "an", "and", "by", "for", "from", "in", "of", "on", "or", "the", "to"}


def findings(machine: Machine) -> list[str]:
    """What in a definition is against the house rules, one line each."""
    return [
        f"{placed.name}: {fault}"
        for placed in states(machine)
        for rule in (_names, _bounds, _retries, _catches, _paths)
        for fault in rule(placed)
    ]


def _names(placed: PlacedState) -> Iterator[str]:
    words = placed.name.rstrip("?").split()
    lower = [word for word in words[1:] if word[0].islower() and word not in _WORDS_WITHOUT_CAPITALS]
    if lower or words[0][0].islower():
        yield "the name is not in Title Case"
    if (placed.kind == "Choice") != placed.name.endswith("?"):
        yield "a Choice asks a question, and nothing else does"
    if not placed.definition.get("Comment"):
        yield "no Comment"


def _bounds(placed: PlacedState) -> Iterator[str]:
    if placed.kind == "Task" and not {"TimeoutSeconds", "HeartbeatSeconds"} & placed.definition.keys():
        yield "neither TimeoutSeconds nor HeartbeatSeconds"
    waits_for_token = str(placed.definition.get("Resource")).endswith(".waitForTaskToken")
    if waits_for_token and not {"TimeoutSeconds", "HeartbeatSeconds"} <= placed.definition.keys():
        yield "a callback needs both TimeoutSeconds and HeartbeatSeconds"
    fan_out = {"MaxConcurrency", "MaxConcurrencyPath"} & placed.definition.keys()
    if placed.kind == "Map" and (not fan_out or placed.definition.get("MaxConcurrency") == 0):
        yield "the map's concurrency has no limit"


def _retries(placed: PlacedState) -> Iterator[str]:
    if placed.kind == "Task" and not placed.definition.get("Retry"):
        yield "no Retry"
    for retry in placed.definition.get("Retry", []):
        missing = {"MaxAttempts", "BackoffRate", "MaxDelaySeconds", "IntervalSeconds"} - retry.keys()
        if missing:
            yield f"a Retry without {', '.join(sorted(missing))}"
        if retry.get("JitterStrategy") != "FULL":
            yield "a Retry without full jitter"
        if {"States.ALL", "States.TaskFailed"} & set(retry["ErrorEquals"]) or not retry["ErrorEquals"]:
            yield "a Retry that does not name its errors"


def _catches(placed: PlacedState) -> Iterator[str]:
    if placed.kind not in ("Task", "Map", "Parallel") or placed.name in UNCAUGHT:
        return
    if not any("States.ALL" in one["ErrorEquals"] for one in placed.definition.get("Catch", [])):
        yield "no Catch of States.ALL"


def _paths(placed: PlacedState) -> Iterator[str]:
    for field, value in _looked_up(placed.definition):
        if not _is_right(field, value):
            yield f"{field} is neither a path nor an intrinsic function: {value}"


def _looked_up(value: Any) -> Iterator[tuple[str, str]]:
    """Fields of a state that take their value from input or context; inner states are states of their own."""
    if isinstance(value, list):
        for one in value:
            yield from _looked_up(one)
    elif isinstance(value, dict):
        for field, inner in value.items():
            if isinstance(inner, str) and (field.endswith((".$", "Path")) or field == "Variable"):
                yield field, inner
            elif field not in ("ItemProcessor", "Branches"):
                yield from _looked_up(inner)


def _is_right(field: str, value: str) -> bool:
    """Whether a field may be looked up so: templates by any path or intrinsic function, the fields that name
    an error by intrinsic functions too ("Fail workflow state"), input and output by any path."""
    if field.endswith(".$"):
        return _is_path(value)
    if field in ("ErrorPath", "CausePath") and _is_intrinsic(value):
        return True
    paths = _ANY_PATH if field in ("InputPath", "OutputPath") else _REFERENCE_PATH
    return bool(paths.fullmatch(value))


def _is_path(value: str) -> bool:
    return bool(_ANY_PATH.fullmatch(value)) or _is_intrinsic(value)


def _is_intrinsic(value: str) -> bool:
    """Whether it is an intrinsic function of paths, constants and other ones: the innermost goes first."""
    for _ in range(_MOST_INTRINSICS):
        value, found = _INTRINSIC.subn(_DONE, value, count=1)
        if not found or value == _DONE:
            return bool(found)
    return False


def test_the_definition_follows_every_house_rule(machine: Any) -> None:
    assert findings(machine.definition) == []


def test_only_children_of_a_map_go_without_a_catch(machine: Any) -> None:
    assert all(placed.inside for placed in states(machine.definition) if placed.name in UNCAUGHT)


@pytest.mark.parametrize("machine", [EXPORT], indirect=True)
def test_no_state_that_goes_without_a_catch_is_named_in_vain(machine: Any) -> None:
    assert set(UNCAUGHT) <= {placed.name for placed in states(machine.definition)}


@pytest.mark.parametrize(
    "value",
    [
        "$",
        "$.queues[*].outcome",
        "$$.Execution.Input.queueArn",
        "States.UUID()",
        "States.StringToJson('${SettleSeconds}')",
        "States.Format('{}, it\\'s {}', $.a, States.JsonToString($.b))",
        "States.MathAdd(States.MathAdd($.a, 1), States.StringToJson($.b['c d']))",
    ],
)
def test_a_value_that_aws_documents_is_let_through(value: str) -> None:
    assert _is_path(value)


@pytest.mark.parametrize(
    "value",
    [
        "queues",
        "$.queues[?]",
        "$..outcome",
        "$$.Map.Item.Key",
        "null",
        "States.Add($.a, $.b)",
        "States.MathAdd($.a $.b)",
        "States.MathAdd($.a, States.Sum($.b, $.c))",
        "States.MathAdd($.a, States.MathAdd($.b, $.c)",
        "States.Format('{}, $.a)",
        "States.Array(" * 11 + "$.a" + ")" * 11,
    ],
)
def test_a_value_that_aws_does_not_document_is_not(value: str) -> None:
    assert not _is_path(value)


def test_every_substitution_is_supplied_and_none_is_superfluous(machine: Any) -> None:
    assert placeholders(machine.file_text) == set(machine.substitutions)


def test_nothing_in_the_file_names_an_account_a_region_or_a_partition(machine: Any) -> None:
    assert re.findall(r"arn:aws[\w-]*:|\b\d{12}\b|\b[a-z]{2}-[a-z]+-\d\b", machine.file_text) == []


def test_every_function_task_names_its_function_and_reads_the_payload_only(machine: Any) -> None:
    """A result without selector or path would carry the invocation's whole answer through the execution."""
    for placed in states(machine.definition):
        if str(placed.definition.get("Resource")).endswith(":lambda:invoke"):
            assert "ResultSelector" in placed.definition or placed.definition["ResultPath"] is None, (
                placed.name
            )


def _among(machine: Machine, state: str) -> Machine:
    """The states that a state stands among, of the machine itself or of a map in it."""
    maps = [one["ItemProcessor"] for one in machine["States"].values() if "ItemProcessor" in one]
    (found,) = [one["States"] for one in (machine, *maps) if state in one["States"]]
    siblings: Machine = found
    return siblings


def _drop(state: str, *path: str | int) -> Callable[[Machine], None]:
    def apply(machine: Machine) -> None:
        target: Any = _among(machine, state)[state]
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]

    return apply


def _set(state: str, *path_and_value: Any) -> Callable[[Machine], None]:
    def apply(machine: Machine) -> None:
        *path, last, value = path_and_value
        target: Any = _among(machine, state)[state]
        for step in path:
            target = target[step]
        target[last] = value

    return apply


def _rename(old: str, new: str) -> Callable[[Machine], None]:
    def apply(machine: Machine) -> None:
        siblings = _among(machine, old)
        siblings[new] = siblings.pop(old)

    return apply


@pytest.mark.parametrize(
    ("machine", "breaking", "finding"),
    [
        (EXPORT, _rename("Plan Ranges", "Plan ranges"), "Plan ranges: the name is not in Title Case"),
        (EXPORT, _rename("Was Anything Exported?", "Anything Exported"), "Anything Exported: a Choice asks"),
        (EXPORT, _rename("Plan Ranges", "Plan Ranges?"), "Plan Ranges?: a Choice asks"),
        (EXPORT, _drop("Export Failed", "Comment"), "Export Failed: no Comment"),
        (EXPORT, _drop("Plan Ranges", "TimeoutSeconds"), "Plan Ranges: neither TimeoutSeconds"),
        (EXPORT, _drop("Wait For Export", "HeartbeatSeconds"), "Wait For Export: a callback needs both"),
        (
            EXPORT,
            _drop("Process Export Files", "MaxConcurrencyPath"),
            "Process Export Files: the map's concurrency",
        ),
        (EXPORT, _drop("Plan Ranges", "Retry"), "Plan Ranges: no Retry"),
        (
            EXPORT,
            _drop("Plan Ranges", "Retry", 0, "MaxDelaySeconds"),
            "Plan Ranges: a Retry without MaxDelaySeconds",
        ),
        (EXPORT, _drop("Plan Ranges", "Retry", 0, "MaxAttempts"), "Plan Ranges: a Retry without MaxAttempts"),
        (
            EXPORT,
            _set("Plan Ranges", "Retry", 0, "JitterStrategy", "NONE"),
            "Plan Ranges: a Retry without full jitter",
        ),
        (
            EXPORT,
            _set("Plan Ranges", "Retry", 0, "ErrorEquals", ["States.ALL"]),
            "Plan Ranges: a Retry that does not",
        ),
        (EXPORT, _drop("Plan Ranges", "Catch"), "Plan Ranges: no Catch of States.ALL"),
        (
            EXPORT,
            _set("Plan Ranges", "Parameters", "Payload", "run.$", "run"),
            "Plan Ranges: run.$ is neither",
        ),
        (
            EXPORT,
            _set("Plan Ranges", "Parameters", "Payload", "run.$", "$$.Executions.Id"),
            "Plan Ranges: run.$ is",
        ),
        (
            EXPORT,
            _set("Explain Refusal", "Parameters", "detail.$", "States.Parse($.a)"),
            "Explain Refusal: detail.$",
        ),
        (
            EXPORT,
            _set("Explain Refusal", "Parameters", "detail.$", "States.StringToJson($.[)"),
            "Explain Refusal: det",
        ),
        (
            EXPORT,
            _set("Was Anything Exported?", "Choices", 0, "Variable", "plan"),
            "Was Anything Exported?: Variable",
        ),
        (EXPORT, _drop("Process Export Files", "Catch"), "Process Export Files: no Catch of States.ALL"),
        (REDRIVE, _rename("Is There More To Redrive?", "Is There More?!"), "Is There More?!: a Choice asks"),
        (REDRIVE, _drop("Redrive Each Queue", "MaxConcurrency"), "Redrive Each Queue: the map's concurrency"),
        (REDRIVE, _drop("Redrive Each Queue", "Catch"), "Redrive Each Queue: no Catch of States.ALL"),
        (REDRIVE, _drop("Redrive Messages", "Catch"), "Redrive Messages: no Catch of States.ALL"),
        (REDRIVE, _drop("Start The Move Task", "TimeoutSeconds"), "Start The Move Task: neither"),
        (REDRIVE, _drop("Look Again", "Retry"), "Look Again: no Retry"),
        (
            REDRIVE,
            _set("Wait Longer", "Parameters", "seconds.$", "States.MathAdd(States.Twice($.a), 1)"),
            "Wait Longer: seconds.$ is neither",
        ),
        (
            REDRIVE,
            _set("Wait For The Move Task", "SecondsPath", "$.waits[*].seconds"),
            "Wait For The Move Task: SecondsPath is neither",
        ),
        (
            REDRIVE,
            _set("Wait For The Move Task", "SecondsPath", "States.MathAdd($.wait.seconds, 1)"),
            "Wait For The Move Task: SecondsPath is neither",
        ),
    ],
    indirect=["machine"],
)
def test_each_rule_finds_a_definition_that_breaks_it(
    machine: Any, breaking: Callable[[Machine], None], finding: str
) -> None:
    broken = copy.deepcopy(dict(machine.definition))
    breaking(broken)
    assert [one for one in findings(broken) if one.startswith(finding)]
