"""JSON paths and input templates of pipes: what they find keeps its text."""

from __future__ import annotations

import pytest

from local.pipes.json_paths import PathRefused, found_in, steps_of, text_of
from local.pipes.parameters import ParametersRefused, PathNotFound, check, resolved
from local.pipes.targets import reported_failures
from local.pipes.templates import Template
from local.streams.filters import FilterRefused

EVENT = (
    b'{"meta": {"change": "PatientModify", "sequence-number": 10000000000000000000001, "size": 1.10},'
    b' "names": [{"family": "Gro\\u00dfe \\"M\\""}, {"family": "B"}], "a/b": null, "none": ""}'
)
VARIABLES = {"aws.pipes.pipe-name": "records"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", EVENT),
        ("$.meta.change", b'"PatientModify"'),
        ("$.meta.sequence-number", b"10000000000000000000001"),
        ("$.meta.size", b"1.10"),
        ("$.names[1].family", b'"B"'),
        ("$.names[*].family", b'["Gro\\u00dfe \\"M\\"","B"]'),
        ("$['meta']['size']", b"1.10"),
        ("$.a/b", b"null"),
        ("$.names[7].family", None),
        ("$.meta.change.deeper", None),
        ("$.absent", None),
    ],
)
def test_a_path_finds_the_text_that_stands_there(path: str, found: bytes | None) -> None:
    assert found_in(EVENT, path) == found


@pytest.mark.parametrize("path", ["meta", "$meta", "$.", "$..a", "$.a[?(@.b)]", "$.a[-1]"])
def test_a_path_that_pipes_do_not_take_is_refused(path: str) -> None:
    with pytest.raises(PathRefused):
        steps_of(path)


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("Hello", "Hello"),
        ("<$.meta.change>", '"PatientModify"'),
        ("changed: <$.meta.change>", "changed: PatientModify"),
        ('{"size": <$.meta.size>, "first": <$.names[1]>}', '{"size": 1.10, "first": {"family": "B"}}'),
        ('{"text": "<$.names[0].family> of <aws.pipes.pipe-name>"}', '{"text": "Große \\"M\\" of records"}'),
        ('{"change": <$.meta.change>, "absent": <$.absent>}', '{"change": "PatientModify", "absent": null}'),
        (
            '{"absent": "<$.absent>", "said": "a \\"<$.meta.size>\\""}',
            '{"absent": "", "said": "a \\"1.10\\""}',
        ),
        ("<aws.pipes.event>", EVENT.decode()),
        ("<b>bold</b>", "<b>bold</b>"),
    ],
)
def test_a_template_is_rendered_for_an_event(template: str, rendered: str) -> None:
    assert Template(template, VARIABLES).render(EVENT).decode() == rendered


def test_a_parameter_is_taken_from_the_event_where_it_is_a_path() -> None:
    assert resolved("$.meta.change", EVENT) == "PatientModify"
    assert resolved("$.meta.sequence-number", EVENT) == "10000000000000000000001"
    assert resolved("fixed", EVENT) == "fixed"
    with pytest.raises(PathNotFound):
        resolved("$.absent", EVENT)


def test_a_value_is_text_without_its_quotes() -> None:
    assert [text_of(value) for value in (b'"a"', b"1.10", None)] == ["a", "1.10", ""]


@pytest.mark.parametrize(
    ("target", "batch_size", "taken"),
    [
        ("arn:aws:events:us-east-1:000000000000:event-bus/hub", 10, True),
        ("arn:aws:events:us-east-1:000000000000:event-bus/hub", 11, False),
        ("arn:aws:firehose:us-east-1:000000000000:deliverystream/records", 500, True),
        ("arn:aws:firehose:us-east-1:000000000000:deliverystream/records", 501, False),
        ("arn:aws:lambda:us-east-1:000000000000:function:records", 10_000, True),
    ],
)
def test_a_batch_is_no_larger_than_what_the_target_takes(target: str, batch_size: int, taken: bool) -> None:
    pipe = {
        "Target": target,
        "SourceParameters": {"DynamoDBStreamParameters": {"BatchSize": batch_size}},
    }
    if taken:
        check(pipe)
    else:
        with pytest.raises(ParametersRefused):
            check(pipe)


@pytest.mark.parametrize("patterns", [['{"eventName": "INSERT"}'], ['{"eventName": ["INSERT"]}'] * 6])
def test_filters_that_pipes_do_not_take_are_refused(patterns: list[str]) -> None:
    filters = {"Filters": [{"Pattern": pattern} for pattern in patterns]}
    with pytest.raises(FilterRefused):
        check({"Target": "", "SourceParameters": {"FilterCriteria": filters}})


@pytest.mark.parametrize(
    ("pattern", "operator"),
    [
        ('{"dynamodb": {"Keys": {"sk": {"S": [{"anything-but": {"prefix": "#"}}]}}}}', "anything-but prefix"),
        ('{"$or": [{"a": [{"anything-but": {"suffix": "x"}}]}, {"b": ["x"]}]}', "anything-but suffix"),
        (
            '{"a": ["b", {"anything-but": {"equals-ignore-case": "x"}}]}',
            "anything-but equals-ignore-case",
        ),
        ('{"a": [{"anything-but": {"wildcard": "*x*"}}]}', "anything-but wildcard"),
        ('{"a": {"b": [{"wildcard": "*x*"}]}}', "wildcard"),
    ],
)
def test_an_operator_that_rules_have_and_pipes_have_not_is_refused_by_name(
    pattern: str, operator: str
) -> None:
    """Amazon EventBridge User Guide, «Comparison operators for use in event patterns»: «Pipe support»."""
    with pytest.raises(FilterRefused, match=f": {operator}$"):
        check({"Target": "", "SourceParameters": {"FilterCriteria": {"Filters": [{"Pattern": pattern}]}}})


@pytest.mark.parametrize(
    "test",
    [
        '"x"',
        '{"anything-but": ["x", "y"]}',
        '{"prefix": "x"}',
        '{"prefix": {"equals-ignore-case": "x"}}',
        '{"suffix": "x"}',
        '{"equals-ignore-case": "x"}',
        '{"exists": false}',
        '{"numeric": [">", 1]}',
        "null",
    ],
)
def test_an_operator_that_pipes_have_is_taken(test: str) -> None:
    plain = f'{{"a": [{test}]}}'
    filters = [{"Pattern": plain}, {"Pattern": f'{{"$or": [{plain}, {{"b": ["x"]}}]}}'}]
    check({"Target": "", "SourceParameters": {"FilterCriteria": {"Filters": filters}}})


def test_a_path_in_a_targets_parameters_is_checked() -> None:
    parameters = {"EventBridgeEventBusParameters": {"Source": "hub", "Resources": ["$..all"]}}
    with pytest.raises(PathRefused):
        check({"Target": "", "TargetParameters": parameters})


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b"null", []),
        (b'"text"', []),
        (b'{"batchItemFailures": []}', []),
        (b'{"batchItemFailures": [{"itemIdentifier": "id-2"}]}', [1]),
        (b'{"batchItemFailures": [{"itemIdentifier": "7"}]}', [0]),
        (b'{"batchItemFailures": [{"itemIdentifier": "of another batch"}]}', [0, 1]),
    ],
)
def test_a_function_names_the_events_that_it_did_not_take(answer: bytes, failed: list[int]) -> None:
    events = [b'{"eventID": "id-1", "dynamodb": {"SequenceNumber": "7"}}', b'{"eventID": "id-2"}']
    assert reported_failures(answer, events) == failed
