"""The shipped rules are sound, and the check of the functions and the schema take and refuse the same."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from local.testing.template_reader import Expanded
from transitions.errors import InvalidRules
from transitions.rules import load_rules, parse_rules

BROKEN_BY = [
    ("name", "No Name"),
    ("name", ""),
    ("name", "x" * 65),
    ("itemType", "Up load"),
    ("description", ""),
    ("on", []),
    ("on", ["update"]),
    ("on", ["insert", "insert"]),
    ("when", {}),
    ("when", {"attribute": "a"}),
    ("when", {"attribute": "a", "becomes": {}}),
    ("when", {"attribute": "a", "becomes": 1, "is": 1}),
    ("when", {"attribute": "a", "crosses": "1"}),
    ("when", {"attribute": "a" * 256, "is": 1}),
    ("when", {"changed": []}),
    ("when", {"changed": ["a"], "attribute": "b"}),
    ("when", {"all": [{"changed": ["a"]}]}),
    ("when", {"all": "everything"}),
    ("output", {}),
    ("output", {"queue": True, "object": {"key": "${meta.transitionId}", "body": 1}}),
    ("output", {"queue": 1}),
    ("output", {"object": {"key": "${meta.transitionId}"}}),
    ("output", {"object": {"key": "a b ${meta.transitionId}", "body": 1}}),
    ("output", {"queue": True, "carry": ["a", "a"]}),
    ("output", {"queue": True, "topic": "x"}),
    ("more", 1),
]
SOUND_WITH = [
    ("when", {"attribute": "a", "becomes": None}),
    ("when", {"attribute": "a", "was": False}),
    ("when", {"attribute": "a", "crosses": -1.5}),
    ("when", {"all": [{"changed": ["a"]}, {"attribute": "b", "is": 1}]}),
    ("on", ["insert"]),
    ("output", {"queue": True}),
    ("output", {"object": {"key": "x/${meta.transitionId}", "body": None}}),
]


@pytest.fixture(scope="module")
def schema(root: Path) -> Any:
    written = json.loads((root / "functions" / "transitions" / "rules.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(written)
    return jsonschema.Draft202012Validator(written)


@pytest.fixture(scope="module")
def shipped(root: Path) -> Any:
    return json.loads((root / "functions" / "transitions" / "rules.json").read_text("utf-8"))


def test_the_shipped_rules_are_sound(schema: Any, shipped: Any) -> None:
    assert list(schema.iter_errors(shipped)) == []
    assert sum(map(len, load_rules().values())) == len(shipped["rules"])


def _with(shipped: Any, field: str, value: Any) -> Any:
    changed = copy.deepcopy(shipped)
    changed["rules"][0][field] = value
    return json.loads(json.dumps(changed), parse_float=Decimal)


@pytest.mark.parametrize(("field", "value"), BROKEN_BY)
def test_what_the_schema_refuses_the_function_refuses(
    schema: Any, shipped: Any, field: str, value: Any
) -> None:
    broken = _with(shipped, field, value)
    assert not schema.is_valid(broken)
    with pytest.raises(InvalidRules):
        parse_rules(broken)


@pytest.mark.parametrize(("field", "value"), SOUND_WITH)
def test_what_the_schema_takes_the_function_takes(schema: Any, shipped: Any, field: str, value: Any) -> None:
    sound = _with(shipped, field, value)
    assert schema.is_valid(sound)
    parse_rules(sound)


@pytest.mark.parametrize("field", ["name", "itemType", "description", "when", "output"])
def test_a_rule_without_a_field_is_refused_by_both(schema: Any, shipped: Any, field: str) -> None:
    broken = copy.deepcopy(shipped)
    del broken["rules"][1][field]
    assert not schema.is_valid(broken)
    with pytest.raises(InvalidRules, match=field):
        parse_rules(broken)


def test_the_function_may_write_where_rules_write_and_send_what_they_send(expanded: Expanded) -> None:
    role = "DetectTransitionsFunctionRole"
    assert "${HubBucket.Arn}/transitions/*" in expanded.resources_for(role, "s3:PutObject")
    assert "${JobsQueue.Arn}" in expanded.resources_for(role, "sqs:SendMessage")


def test_lambda_may_keep_what_the_function_failed_on(expanded: Expanded) -> None:
    """«Capturing discarded batches for a DynamoDB event source», AWS Lambda Developer Guide: with the rights
    of the function's role, below aws/lambda/."""
    role = "DetectTransitionsFunctionRole"
    assert "${HubBucket.Arn}/aws/lambda/*" in expanded.resources_for(role, "s3:PutObject")
    assert "${HubBucket.Arn}" in expanded.resources_for(role, "s3:ListBucket")


def test_a_record_that_fails_has_bounded_tries_and_goes_whole_to_the_bucket(expanded: Expanded) -> None:
    (mapping,) = [
        one
        for one in expanded.of_type("AWS::Lambda::EventSourceMapping").values()
        if one["FunctionName"] == {"Ref": "DetectTransitionsFunction"}
    ]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == 100
    assert 0 < mapping["MaximumRecordAgeInSeconds"] < 86_400
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["HubBucket", "Arn"]}
