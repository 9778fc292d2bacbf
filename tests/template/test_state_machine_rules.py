"""The house rules of state machine files, and that each rule finds what breaks it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.testing.state_machine_reader import PlacedState, placeholders, states

Machine = dict[str, Any]

# A Task without a Catch of States.ALL, and why.
UNCAUGHT: Mapping[str, str] = {
    "Process Range": "a child of the map: its failure is the map's, whose own Catch leads to the clean-up"
}

# What the validators let pass and Step Functions refuses: paths and intrinsic functions that are none.
_STEP = r"(\.[A-Za-z_]\w*|\[(\d+|'[^']+')\])"
_PATH = re.compile(rf"\${_STEP}*")
_CONTEXT_PATH = re.compile(
    r"\$\$\.(Execution\.(Id|Name|StartTime|RoleArn|RedriveCount)|State\.(EnteredTime|Name|RetryCount)"
    rf"|StateMachine\.(Id|Name)|Task\.Token|Map\.Item\.Index|(Execution\.Input|Map\.Item\.Value){_STEP}*)"
)
_INTRINSIC = re.compile(
    r"States\.(Format|StringToJson|JsonToString|Array\w*|JsonMerge|Math\w+|Hash|UUID)\((.*)\)"
)

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
        if not _is_path(value):
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


def _is_path(value: str) -> bool:
    if found := _INTRINSIC.fullmatch(value):
        return all(not one.strip().startswith("$") or _is_path(one.strip()) for one in found[2].split(","))
    return bool(_PATH.fullmatch(value) or _CONTEXT_PATH.fullmatch(value))


def test_the_definition_follows_every_house_rule(machine: Any) -> None:
    assert findings(machine.definition) == []


def test_only_children_of_a_map_go_without_a_catch(machine: Any) -> None:
    uncaught = [placed for placed in states(machine.definition) if placed.name in UNCAUGHT]
    assert uncaught
    assert all(placed.inside for placed in uncaught)


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


def _drop(state: str, *path: str | int) -> Callable[[Machine], None]:
    def apply(machine: Machine) -> None:
        target: Any = machine["States"][state]
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]

    return apply


def _set(state: str, *path_and_value: Any) -> Callable[[Machine], None]:
    def apply(machine: Machine) -> None:
        *path, last, value = path_and_value
        target: Any = machine["States"][state]
        for step in path:
            target = target[step]
        target[last] = value

    return apply


def _rename(old: str, new: str) -> Callable[[Machine], None]:
    def apply(machine: Machine) -> None:
        machine["States"][new] = machine["States"].pop(old)

    return apply


@pytest.mark.parametrize(
    ("breaking", "finding"),
    [
        (_rename("Plan Ranges", "Plan ranges"), "Plan ranges: the name is not in Title Case"),
        (_rename("Was Anything Exported?", "Anything Exported"), "Anything Exported: a Choice asks"),
        (_rename("Plan Ranges", "Plan Ranges?"), "Plan Ranges?: a Choice asks"),
        (_drop("Export Failed", "Comment"), "Export Failed: no Comment"),
        (_drop("Plan Ranges", "TimeoutSeconds"), "Plan Ranges: neither TimeoutSeconds"),
        (_drop("Wait For Export", "HeartbeatSeconds"), "Wait For Export: a callback needs both"),
        (_drop("Process Export Files", "MaxConcurrencyPath"), "Process Export Files: the map's concurrency"),
        (_drop("Plan Ranges", "Retry"), "Plan Ranges: no Retry"),
        (_drop("Plan Ranges", "Retry", 0, "MaxDelaySeconds"), "Plan Ranges: a Retry without MaxDelaySeconds"),
        (_drop("Plan Ranges", "Retry", 0, "MaxAttempts"), "Plan Ranges: a Retry without MaxAttempts"),
        (
            _set("Plan Ranges", "Retry", 0, "JitterStrategy", "NONE"),
            "Plan Ranges: a Retry without full jitter",
        ),
        (
            _set("Plan Ranges", "Retry", 0, "ErrorEquals", ["States.ALL"]),
            "Plan Ranges: a Retry that does not",
        ),
        (_drop("Plan Ranges", "Catch"), "Plan Ranges: no Catch of States.ALL"),
        (_set("Plan Ranges", "Parameters", "Payload", "run.$", "run"), "Plan Ranges: run.$ is neither"),
        (_set("Plan Ranges", "Parameters", "Payload", "run.$", "$$.Executions.Id"), "Plan Ranges: run.$ is"),
        (_set("Explain Refusal", "Parameters", "detail.$", "States.Parse($.a)"), "Explain Refusal: detail.$"),
        (
            _set("Explain Refusal", "Parameters", "detail.$", "States.StringToJson($.[)"),
            "Explain Refusal: det",
        ),
        (
            _set("Was Anything Exported?", "Choices", 0, "Variable", "plan"),
            "Was Anything Exported?: Variable",
        ),
        (_drop("Process Export Files", "Catch"), "Process Export Files: no Catch of States.ALL"),
    ],
)
def test_each_rule_finds_a_definition_that_breaks_it(
    machine: Any, breaking: Callable[[Machine], None], finding: str
) -> None:
    broken = copy.deepcopy(dict(machine.definition))
    breaking(broken)
    assert [one for one in findings(broken) if one.startswith(finding)]
