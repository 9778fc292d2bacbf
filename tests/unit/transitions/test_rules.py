"""The check of a file of rules: what it takes is what the schema takes, and what it refuses it names."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from transitions.conditions import Crosses
from transitions.errors import InvalidRules
from transitions.rules import MOST_NESTED, Rule, load_rules, parse_rules

RULE: dict[str, Any] = {
    "name": "done",
    "itemType": "Job",
    "description": "It is done",
    "when": {"attribute": "phase", "becomes": "DONE"},
    "output": {"queue": True, "carry": ["phase"]},
}


def with_rule(**fields: Any) -> dict[str, Any]:
    return {"rules": [{**copy.deepcopy(RULE), **fields}]}


def the_rule(**fields: Any) -> Rule:
    (rule,) = parse_rules(with_rule(**fields))
    return rule


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Done now"}, "rule number 1: name must match"),
        ({"itemType": ""}, "rule done: itemType must be a text"),
        ({"description": 5}, "rule done: description must be a text"),
        ({"whenever": 1}, "rule done: 'whenever' is no field"),
        ({"on": ["inserted"]}, "rule done: on must name some of insert, modify, remove"),
        ({"on": []}, "rule done: on must be a list"),
        ({"on": ["insert", "remove"]}, "rule done: on names remove"),
        (
            {"on": ["insert"], "when": {"attribute": "a", "was": 1}},
            "rule done: on names insert alone",
        ),
        ({"when": {"attribute": "phase"}}, "rule done: when: the condition must have one of"),
        ({"when": {"attribute": "phase", "is": 1, "was": 2}}, "rule done: when: the condition must have"),
        ({"when": {"attribute": "phase", "becomes": ["DONE"]}}, "rule done: when: becomes must be a text"),
        ({"when": {"attribute": "items", "crosses": "10"}}, "rule done: when: crosses must be a number"),
        ({"when": {"attribute": "items", "crosses": True}}, "rule done: when: crosses must be a number"),
        ({"when": {"attribute": "", "becomes": 1}}, "rule done: when: attribute must be a text"),
        ({"when": {"changed": []}}, "rule done: when: changed must be a list"),
        ({"when": {"changed": ["a", "a"]}}, "rule done: when: changed names an attribute twice"),
        ({"when": {"all": [{"changed": ["a"]}]}}, "rule done: when: all must be a list"),
        ({"when": {"all": [{"changed": ["a"]}, {}]}}, "rule done: when: all: 2: the condition must have"),
        ({"output": {}}, "rule done: output: the output must have queue or object"),
        ({"output": {"queue": False}}, "rule done: output: queue must be true"),
        ({"output": {"queue": True, "object": {}}}, "rule done: output: the output must have"),
        ({"output": {"queue": True, "carry": "phase"}}, "rule done: output: carry must be a list"),
        (
            {"output": {"object": {"key": "${meta.transitionId}", "body": "${new.phase}"}}},
            "rule done: output: object: body names new.phase, which carry does not declare",
        ),
        (
            {"output": {"object": {"key": "done", "body": 1}}},
            "rule done: output: object: key must name meta.transitionId",
        ),
        (
            {"output": {"object": {"key": "${meta.transitionId}"}}},
            "rule done: output: object: body is missing",
        ),
    ],
)
def test_a_rule_that_breaks_the_schema_is_named_with_its_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRules) as refusal:
        parse_rules(with_rule(**fields))
    assert str(refusal.value).startswith(message)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidRules, match="rule done: name is given to another rule too"):
        parse_rules({"rules": [RULE, RULE]})


def test_no_rules_are_rules_too() -> None:
    assert parse_rules({"rules": []}) == ()


def test_a_rule_looks_at_inserts_and_updates_unless_it_says_otherwise() -> None:
    assert the_rule().on == {"INSERT", "MODIFY"}
    removed = the_rule(on=["remove"], when={"changed": ["phase"]})
    assert removed.on == {"REMOVE"}


def test_conditions_nested_without_end_are_refused() -> None:
    when: dict[str, Any] = {"changed": ["a"]}
    for _ in range(MOST_NESTED + 1):
        when = {"all": [when, when]}
    with pytest.raises(InvalidRules, match="nested more than"):
        parse_rules(with_rule(when=when))


def test_a_threshold_has_the_digits_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    threshold = "0.1000000000000000055511151231257827"
    when = {"attribute": "a", "crosses": 0}
    path.write_text(json.dumps(with_rule(when=when)).replace('"crosses": 0', f'"crosses": {threshold}'))
    (rule,) = load_rules(path)["Job"]
    assert rule.when == Crosses("a", Decimal(threshold))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"rules": 1}', '{"rule": []}', '"rules"'])
def test_a_file_that_is_none_of_rules_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(content)
    with pytest.raises(InvalidRules):
        load_rules(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidRules, match=r"rules\.json is no JSON file"):
        load_rules(tmp_path / "rules.json")


def test_a_name_that_may_be_anything_is_not_quoted() -> None:
    with pytest.raises(InvalidRules, match=r"^rule number 1: name"):
        parse_rules(with_rule(name="x" * 100 + "\n"))
