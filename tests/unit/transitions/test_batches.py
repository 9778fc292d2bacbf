"""Order and failures of a batch: an item stops at its first failure, others go on, nothing overtakes."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from local.testing.stream_records import stream_record
from transitions.batches import Batch, Outcome, report
from transitions.detection import Transition, read, transition_id
from transitions.errors import UnreadableRecord
from transitions.outputs import Outputs
from transitions.rules import parse_rules

RULES = {
    "Job": parse_rules(
        {
            "rules": [
                {
                    "name": name,
                    "itemType": "Job",
                    "description": "Each step is sent",
                    "when": {"changed": ["step"]},
                    "output": {"queue": True, "carry": ["step"]},
                }
                for name in ("first", "second")
            ]
        }
    )
}


class Noting(Outputs):
    """Notes what it is given, and refuses steps that it is told to."""

    def __init__(self, refused: Sequence[tuple[str, int]] = ()) -> None:
        self.refused = set(refused)
        self.calls: list[list[Transition]] = []
        self.taken: list[tuple[str, int, str]] = []

    def send(self, transitions: Sequence[Transition]) -> set[int]:
        self.calls.append(list(transitions))
        refused = set()
        for place, one in enumerate(transitions):
            item, step = one.meta["id"], int(json.loads(one.message())["attributes"]["step"])
            if (item, step) in self.refused:
                refused.add(place)
            else:
                self.taken.append((item, step, one.rule.name))
        return refused


def job(item: str, step: int) -> dict[str, Any]:
    return {"id": {"S": item}, "itemType": {"S": "Job"}, "step": {"N": str(step)}}


def steps(*planned: tuple[str, int]) -> list[dict[str, Any]]:
    """Records in the order of the stream, one step of an item each."""
    return [
        stream_record(old=job(item, step - 1), new=job(item, step), number=number)
        for number, (item, step) in enumerate(planned, start=1)
    ]


def sent(records: list[dict[str, Any]], outputs: Noting) -> Outcome:
    return Batch(records, RULES).send_to(outputs)


def test_transitions_of_an_item_go_out_in_its_order() -> None:
    planned = [(item, step) for step in range(1, 6) for item in "abc"]
    random.Random(5).shuffle(planned)
    planned.sort(key=lambda one: one[1])
    outputs = Noting()
    assert sent(steps(*planned), outputs).failed == {}
    for item in "abc":
        taken = [(step, rule) for one, step, rule in outputs.taken if one == item]
        assert taken == list(itertools.product(range(1, 6), ("first", "second")))


def test_no_call_has_two_transitions_of_one_item() -> None:
    outputs = Noting()
    sent(steps(("a", 1), ("a", 2), ("b", 1)), outputs)
    for call in outputs.calls:
        assert len({one.group for one in call}) == len(call)


def test_an_item_stops_at_what_was_refused_and_others_go_on() -> None:
    records = steps(("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3))
    outputs = Noting(refused=[("a", 2)])
    outcome = sent(records, outputs)
    assert {(item, step) for item, step, _ in outputs.taken} == {("a", 1), ("b", 1), ("b", 2)}
    assert report(records, outcome) == {"batchItemFailures": [{"itemIdentifier": f"{3:025d}"}]}


def test_the_lowest_of_several_failures_is_reported() -> None:
    records = steps(("a", 1), ("b", 1), ("c", 1), ("b", 2), ("a", 2))
    outcome = sent(records, Noting(refused=[("a", 2), ("b", 1)]))
    assert report(records, outcome)["batchItemFailures"] == [{"itemIdentifier": f"{2:025d}"}]


def test_a_batch_without_failures_reports_none() -> None:
    records = steps(("a", 1))
    assert report(records, sent(records, Noting())) == {"batchItemFailures": []}


def test_an_item_stops_at_a_record_that_cannot_be_read() -> None:
    records = steps(("a", 1), ("a", 2), ("b", 1), ("a", 3))
    del records[1]["dynamodb"]["NewImage"]
    outputs = Noting()
    outcome = sent(records, outputs)
    assert {(item, step) for item, step, _ in outputs.taken} == {("a", 1), ("b", 1)}
    assert report(records, outcome)["batchItemFailures"] == [{"itemIdentifier": f"{2:025d}"}]


def test_an_attribute_that_cannot_be_read_stops_its_item() -> None:
    records = steps(("a", 1), ("b", 1))
    records[0]["dynamodb"]["NewImage"]["step"] = {"N": "one"}
    outputs = Noting()
    outcome = sent(records, outputs)
    assert {item for item, _, _ in outputs.taken} == {"b"}
    assert list(outcome.failed.values()) == [0]


def test_a_record_that_does_not_say_its_place_fails_the_call_after_the_others_went_out() -> None:
    records = steps(("a", 1), ("b", 1))
    del records[0]["dynamodb"]["SequenceNumber"]
    outputs = Noting()
    outcome = sent(records, outputs)
    assert {item for item, _, _ in outputs.taken} == {"b"}
    with pytest.raises(UnreadableRecord):
        report(records, outcome)


@pytest.mark.parametrize("written", [None, [], "record", 5, {}, {"dynamodb": None}, {"eventName": "MODIFY"}])
def test_what_is_no_record_at_all_leaves_its_neighbours_alone(written: Any) -> None:
    records = [written, *steps(("b", 1))]
    outputs = Noting()
    outcome = Batch(records, RULES).send_to(outputs)
    assert {item for item, _, _ in outputs.taken} == {"b"}
    assert list(outcome.failed.values()) == [0]


def test_items_of_other_types_and_of_none_are_nobodys_business() -> None:
    other = {"id": {"S": "a"}, "step": {"N": "1"}, "itemType": {"S": "Upload"}}
    none = {"id": {"S": "b"}, "step": {"N": "1"}}
    outputs = Noting()
    records = [stream_record(new=other), stream_record(new=none), stream_record(old=none)]
    assert sent(records, outputs) == Outcome()
    assert outputs.calls == []


def test_a_transitions_id_is_of_rule_stream_item_and_place() -> None:
    keys = {"id": {"S": "a"}}
    ids = {
        transition_id("first", "2026", keys, "1"),
        transition_id("second", "2026", keys, "1"),
        transition_id("first", "2027", keys, "1"),
        transition_id("first", "2026", {"id": {"S": "b"}}, "1"),
        transition_id("first", "2026", keys, "2"),
        transition_id("first", "2026", dict(keys), "1"),
    }
    assert len(ids) == 5


def test_images_that_a_rule_does_not_carry_stay_in_the_table() -> None:
    record = stream_record(new={**job("a", 1), "name": {"S": "Maria"}})
    outputs = Noting()
    sent([record], outputs)
    (one, _) = [transition for call in outputs.calls for transition in call]
    assert b"Maria" not in one.message()
    assert "Maria" not in repr(one)
    assert "Maria" not in repr(read(record))


def test_a_removed_items_transition_carries_what_it_had() -> None:
    rules = parse_rules(
        {
            "rules": [
                {
                    "name": "gone",
                    "itemType": "Job",
                    "description": "A job was removed",
                    "on": ["remove"],
                    "when": {"changed": ["step"]},
                    "output": {"queue": True, "carry": ["step"]},
                }
            ]
        }
    )
    outputs = Noting()
    Batch([stream_record(old=job("a", 7))], {"Job": rules}).send_to(outputs)
    assert outputs.taken == [("a", 7, "gone")]


def test_numbers_are_carried_with_all_their_digits() -> None:
    number = "1.2345678901234567890123456789012345678E-5"
    record = stream_record(new={**job("a", 1), "step": {"N": number}})
    outputs = Noting()
    with contextlib.suppress(ValueError):  # no step of the test's own
        sent([record], outputs)
    assert f'"step":{number}'.encode() in outputs.calls[0][0].message()


def test_the_characters_that_sqs_refuses_are_escaped() -> None:
    key = {"id": {"S": "a\uffff\ufffe\u0000"}}
    outputs = Noting()
    sent([stream_record(new={**job("a", 1), **key})], outputs)
    body = outputs.calls[0][0].message().decode()
    assert json.loads(body)["key"]["id"] == "a\uffff\ufffe\u0000"
    assert not {"\uffff", "\ufffe", "\u0000"} & set(body)
