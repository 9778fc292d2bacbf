"""Consumers that stay broken, and poison: how often a message is delivered, and where it ends."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from local.testing.redrive_hub import RedriveHub

MAX_REDRIVES = 3
FIRST_RUNS = ["Returned To DLQ"] * MAX_REDRIVES


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_a_message_of_a_consumer_that_stays_broken_is_delivered_a_few_times_and_then_kept(
    redrive: RedriveHub, suffix: str
) -> None:
    dead, work = redrive.pair(suffix)
    sent = [str(number) for number in range(12)]
    redrive.die(work, *sent, groups=3)
    consumer = redrive.consumer(work, takes=lambda _: False)
    ends: list[str] = []

    for _ in range(MAX_REDRIVES + 3):
        redrive.settled_by(consumer)
        ends.append(redrive.run().path[-1])
        redrive.bench.call_faults.forget()

    assert ends == [*FIRST_RUNS, "Quarantined", "Nothing To Redrive", "Nothing To Redrive"]
    deliveries = Counter(consumer.refused)
    assert set(deliveries.values()) == {MAX_REDRIVES}
    assert sorted(letter["body"] for letter in redrive.quarantined()) == sorted(sent)
    assert {letter["reason"] for letter in redrive.quarantined()} == {"REDRIVEN_TOO_OFTEN"}
    assert (redrive.bodies(dead), redrive.bodies(work)) == ([], [])


def test_one_run_sends_nothing_back_twice(redrive: RedriveHub) -> None:
    """Although what it sent back dies again while it is still at work."""
    dead, work = redrive.pair()
    sent = [str(number) for number in range(25)]
    redrive.die(work, *sent)
    consumer = redrive.consumer(work, takes=lambda _: False)
    handler = redrive.bench.functions["RedriveMessagesFunction"]
    calls = 0

    def at_once(event: object, context: object) -> object:
        nonlocal calls
        calls += 1
        assert calls < 10, "it loops"
        answer = handler(event, context)
        consumer.work()
        redrive.show(dead)
        return {**answer, "more": True} if calls == 1 else answer

    redrive.bench.functions["RedriveMessagesFunction"] = at_once

    run = redrive.run({"mode": "counted"})

    assert run.path[-1] == "Returned To DLQ"
    assert Counter(consumer.refused) == Counter(sent)


def test_a_poison_message_among_a_thousand_good_ones_is_quarantined_whole(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    good = [f"good {number}" for number in range(1000)]
    attributes: Any = {
        "trace": {"DataType": "String", "StringValue": "abc"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    redrive.sqs.send_message(QueueUrl=work.url, MessageBody="poison", MessageAttributes=attributes)
    redrive.die(work, *good)
    consumer = redrive.consumer(work, takes=lambda body: body != "poison")
    runs = []

    while redrive.bodies(dead):
        redrive.settled_by(consumer)
        runs.append(redrive.run())
        redrive.bench.call_faults.forget()

    assert sorted(consumer.processed) == sorted(good)
    assert [run.path[-1] for run in runs] == ["Redriven", *["Returned To DLQ"] * 2, "Quarantined"]
    [letter] = redrive.quarantined()
    assert letter["body"] == "poison"
    assert letter["messageAttributes"]["trace"] == attributes["trace"]
    assert letter["messageAttributes"]["raw"] == {"DataType": "Binary", "BinaryValue": "AP8="}
    assert [entry["execution"] for entry in letter["history"]] == [run.name for run in runs[1:3]]
    assert letter["queueArn"] == dead.arn
    assert letter["firstFailedAt"] <= letter["lastFailedAt"]


def test_identical_bodies_share_a_count(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "same", "same")
    request = {"mode": "counted", "maxRedrives": 1}

    run = redrive.run(request)

    [told] = redrive.told(run)
    assert (told["queue"], told["redriven"], told["quarantined"]) == (dead.name, 1, 1)


def test_a_message_that_cannot_be_handled_fails_the_run_although_the_others_went_back(
    redrive: RedriveHub,
) -> None:
    functions = redrive.queue("async", kind="async")
    consumer, gone = (redrive.bindings.function(name) for name in ("consumer", "gone"))
    for function in (consumer, gone):
        redrive.bindings.failing_to(function, functions)
    del redrive.bench.functions["hub-test-gone"]
    record = '{{"requestContext":{{"functionArn":"{}"}},"requestPayload":{{"n":{}}}}}'
    bodies = [record.format(gone if n == 4 else consumer, n) for n in range(9)]
    redrive.send(functions, bodies)

    run = redrive.run()

    assert run.path[-1] == "Redrive Failed"
    assert "TargetGone" in (run.cause or "")
    assert redrive.bodies(functions) == [bodies[4]]
