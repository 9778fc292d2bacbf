"""Finds what is wrong with a state machine definition: moto's parser, and what it does not look at.

The parser accepts transitions to states that do not exist and states that nothing leads to; Step Functions
refuses both when the state machine is created.
AWS documentation: "ValidateStateMachineDefinition" (MISSING_TRANSITION_TARGET), "Amazon States Language".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local.stepfunctions.execution import parse_definition
from local.stepfunctions.mending import install

State = Mapping[str, Any]

_TERMINAL = ("Succeed", "Fail")


def findings(definition: str) -> list[str]:
    """What is wrong, one readable line each; empty for a definition that Step Functions takes.

    Placeholders such as `${TableName}` count as text.
    """
    install.install()
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [f"not JSON: {error}"]
    if not isinstance(machine, dict):
        return ["not a JSON object"]
    return [*_parser_findings(definition), *_machine_findings(machine, "")]


def _parser_findings(definition: str) -> Iterator[str]:
    try:
        parse_definition(definition)
    except Exception as error:
        # The parser goes on to list every word it would have taken instead.
        yield f"not Amazon States Language: {str(error).partition(' expecting {')[0]}"


def _machine_findings(machine: State, where: str) -> Iterator[str]:
    states = machine.get("States")
    if not isinstance(states, dict):
        yield f"{where}States is missing"
        return
    start = machine.get("StartAt")
    if start not in states:
        yield f"{where}StartAt names '{start}', which does not exist"
    for name, state in states.items():
        yield from _state_findings(states, f"{where}{name}", state)
    for name in sorted(states.keys() - _reached(states, start)):
        yield f"{where}{name}: no state leads here"


def _state_findings(states: State, where: str, state: State) -> Iterator[str]:
    for field, target in _targets(state):
        if target not in states:
            yield f"{where}: {field} names '{target}', which does not exist"
    kind = state.get("Type")
    if kind not in (*_TERMINAL, "Choice") and ("Next" in state) == (state.get("End") is True):
        yield f"{where}: needs either Next or End"
    if kind == "Fail" and str(state.get("Error", "")).startswith("States."):
        yield f"{where}: Error may not begin with 'States.'"
    for field in ("Retry", "Catch"):
        yield from _wildcard_findings(where, field, state.get(field, []))
    for place, inner in _inner_machines(state):
        yield from _machine_findings(inner, f"{where}/{place}/")


def _wildcard_findings(where: str, field: str, rules: list[State]) -> Iterator[str]:
    for index, rule in enumerate(rules):
        names = rule.get("ErrorEquals", [])
        if not names:
            yield f"{where}: {field} {index + 1} names no error"
        if "States.ALL" in names and (len(names) > 1 or index < len(rules) - 1):
            yield f"{where}: States.ALL must stand alone, in the last {field}"


def _targets(state: State) -> Iterator[tuple[str, Any]]:
    for field in ("Next", "Default"):
        if field in state:
            yield field, state[field]
    for index, choice in enumerate(state.get("Choices", [])):
        yield f"choice {index + 1}", choice.get("Next")
    for index, catcher in enumerate(state.get("Catch", [])):
        yield f"Catch {index + 1}", catcher.get("Next")


def _reached(states: State, start: Any) -> set[str]:
    reached: set[str] = set()
    open_names = [start]
    while open_names:
        name = open_names.pop()
        if name in states and name not in reached:
            reached.add(name)
            open_names.extend(target for _, target in _targets(states[name]))
    return reached


def _inner_machines(state: State) -> Iterator[tuple[str, State]]:
    for field in ("ItemProcessor", "Iterator"):
        if isinstance(state.get(field), dict):
            yield field, state[field]
    for index, branch in enumerate(state.get("Branches", [])):
        yield f"branch {index + 1}", branch
