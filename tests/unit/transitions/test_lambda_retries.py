"""A stream whose reader fails at random, as Lambda goes on with it: all transitions go out, and in order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from local.testing.stream_records import stream_record
from transitions.batches import Batch, report
from transitions.detection import Transition
from transitions.outputs import Outputs
from transitions.rules import parse_rules

STEPS, ITEMS, BATCH = 12, 7, 10
RULES = {
    "Job": parse_rules(
        {
            "rules": [
                {
                    "name": "step",
                    "itemType": "Job",
                    "description": "Each step is sent",
                    "when": {"changed": ["step"]},
                    "output": {"queue": True, "carry": ["step"]},
                }
            ]
        }
    )
}


class Queue(Outputs):
    """A FIFO queue that refuses messages at random, and drops repeats by their deduplication id."""

    def __init__(self, chance: random.Random, refuses: float) -> None:
        self.chance, self.refuses = chance, refuses
        self.kept: dict[str, tuple[str, int]] = {}

    def send(self, transitions: Sequence[Transition]) -> set[int]:
        refused = {at for at in range(len(transitions)) if self.chance.random() < self.refuses}
        for at, one in enumerate(transitions):
            if at not in refused:
                self.kept.setdefault(one.transition_id, (one.meta["id"], int(bytes(one.new["step"]))))
        return refused


def written(chance: random.Random) -> list[dict[str, Any]]:
    """The stream of one shard: each item's steps in their order, those of all items mixed."""
    order = [f"item-{number % ITEMS}" for number in range(ITEMS * STEPS)]
    chance.shuffle(order)
    step: dict[str, int] = dict.fromkeys(order, 0)
    records = []
    for number, item in enumerate(order):
        step[item] += 1
        fields = {"id": {"S": item}, "itemType": {"S": "Job"}}
        old = {**fields, "step": {"N": str(step[item] - 1)}} if step[item] > 1 else None
        records.append(stream_record(old=old, new={**fields, "step": {"N": str(step[item])}}, number=number))
    return records


@pytest.mark.parametrize("seed", range(12))
def test_every_transition_goes_out_in_its_items_order_whatever_fails(seed: int) -> None:
    chance = random.Random(seed)
    records, queue = written(chance), Queue(chance, refuses=0.3)
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    at = calls = 0
    while at < len(records):
        batch = records[at : at + chance.randint(1, BATCH)]
        failures = report(batch, Batch(batch, RULES).send_to(queue))["batchItemFailures"]
        at = numbers.index(failures[0]["itemIdentifier"]) if failures else at + len(batch)
        if not failures and chance.random() < 0.2:
            at = max(0, at - chance.randint(0, BATCH))  # a batch comes again although it was answered
        calls += 1
        assert calls < 5_000
    assert calls > len(records) / BATCH
    for item in {f"item-{number}" for number in range(ITEMS)}:
        assert [step for one, step in queue.kept.values() if one == item] == list(range(1, STEPS + 1))
