"""No stream has more readers than DynamoDB serves: with a third one reads of all of them are throttled
(Amazon DynamoDB Developer Guide, «Quotas»: simultaneous readers of a shard)."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from local.streams.filters import unsupported_operators
from local.testing.template_reader import Expanded, references

MOST_READERS = 2


def readers(expanded: Expanded) -> dict[str, list[str]]:
    """The readers of each table's stream: pipes, and mappings to functions."""
    found: dict[str, list[str]] = {
        name: []
        for name, table in expanded.of_type("AWS::DynamoDB::Table").items()
        if "StreamSpecification" in table
    }
    sources = {name: pipe["Source"] for name, pipe in expanded.of_type("AWS::Pipes::Pipe").items()}
    mappings = expanded.of_type("AWS::Lambda::EventSourceMapping").items()
    sources |= {name: mapping["EventSourceArn"] for name, mapping in mappings}
    for name, source in sources.items():
        for table in references(source) & found.keys():
            found[table].append(name)
    return found


def test_no_stream_has_more_than_two_readers(expanded: Expanded) -> None:
    assert {name: ones for name, ones in readers(expanded).items() if len(ones) > MOST_READERS} == {}


def test_every_stream_is_read(expanded: Expanded) -> None:
    counted = Counter({name: len(ones) for name, ones in readers(expanded).items()})
    assert counted == {"RecordsTable": 2, "JobsTable": 1}


def refused_filters(expanded: Expanded) -> dict[str, list[str]]:
    """The readers whose filters have operators that pipes and mappings do not take, and which."""
    pipes = expanded.of_type("AWS::Pipes::Pipe").items()
    criteria = {name: pipe.get("SourceParameters", {}).get("FilterCriteria") for name, pipe in pipes}
    mappings = expanded.of_type("AWS::Lambda::EventSourceMapping").items()
    criteria |= {name: mapping.get("FilterCriteria") for name, mapping in mappings}
    found = {
        name: [
            operator
            for one in (told or {}).get("Filters", [])
            for operator in unsupported_operators(json.loads(one["Pattern"]))
        ]
        for name, told in criteria.items()
    }
    return {name: operators for name, operators in found.items() if operators}


def test_no_filter_has_an_operator_that_only_rules_have(expanded: Expanded) -> None:
    assert refused_filters(expanded) == {}


def test_a_filter_with_an_operator_that_only_rules_have_is_found(
    template: dict[str, Any], expanded_from: Callable[[Mapping[str, Any]], Expanded]
) -> None:
    broken = copy.deepcopy(template)
    filters = {"Filters": [{"Pattern": '{"a": [{"anything-but": {"prefix": "#"}}]}'}]}
    resources = broken["Resources"]
    resources["LakeRowsPipe"]["Properties"]["SourceParameters"]["FilterCriteria"] = filters
    (event,) = resources["DetectTransitionsFunction"]["Properties"]["Events"].values()
    event["Properties"]["FilterCriteria"] = filters
    found = refused_filters(expanded_from(broken))
    assert len(found) == 2
    assert {one for operators in found.values() for one in operators} == {"anything-but prefix"}


def test_a_third_reader_is_found(
    template: dict[str, Any], expanded_from: Callable[[Mapping[str, Any]], Expanded]
) -> None:
    broken = copy.deepcopy(template)
    broken["Resources"]["AnotherPipe"] = copy.deepcopy(broken["Resources"]["RecordsPipe"])
    assert len(readers(expanded_from(broken))["RecordsTable"]) == MOST_READERS + 1
