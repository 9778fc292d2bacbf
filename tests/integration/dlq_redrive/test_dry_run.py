"""What a dry run tells, and how a queue is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from common import aws_clients
from dlq_redrive import queue_look


def test_a_look_hides_nothing(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.fill(dlq, 25)

    redrive.plan({"dryRun": True})

    received = []
    url = redrive.url(dlq)
    while batch := aws_clients.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += batch
    assert len(received) == 25


def test_a_look_keeps_no_more_than_its_memory_holds(redrive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dlq, _ = redrive.pair()
    redrive.fill(dlq, 40)
    monkeypatch.setattr(queue_look, "_MOST_BYTES", 20)

    (plan,) = redrive.plan({"dryRun": True})["queues"]
    assert (plan["waiting"], plan["forecast"]["lookedAt"]) == (40, 20)


def test_a_dry_run_says_what_would_happen_and_changes_nothing(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.fill(dlq, 12)
    rule = redrive.queue("rule-dead", kind="rule")
    redrive.send(rule, "{}", {"TARGET_ARN": work})
    redrive.send(rule, "{}")

    planned = redrive.plan({"dryRun": True})

    assert planned["dryRun"]
    first, second = (one["forecast"] for one in planned["queues"])
    assert (first["lookedAt"], first["wouldRedrive"], first["redrives"]) == (12, 12, {"0": 12})
    assert (second["wouldRedrive"], second["wouldQuarantine"]) == (1, 1)
    assert second["reasons"] == {"TARGET_UNKNOWN": 1}
    assert (len(redrive.messages(dlq)), redrive.messages(work), redrive.quarantined()) == (12, [], [])


def test_sqs_quarantines_nothing_and_a_dry_run_says_so(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.send(work, "in its source")
    redrive.perish(work)
    redrive.fill(dlq, 5)
    for _ in range(4):
        redrive.send(dlq, "alike")

    by_sqs, counted = (
        redrive.plan({"dryRun": True, "queueArn": dlq, **asked})["queues"][0]
        for asked in ({"destinationArn": redrive.queue("other")}, {"mode": "counted"})
    )
    assert (by_sqs["mode"], by_sqs["forecast"]["whyCounted"]) == ("bulk", None)
    told = [
        [one["forecast"][name] for name in ("wouldRedrive", "wouldQuarantine")] for one in (by_sqs, counted)
    ]
    assert told == [[10, 0], [9, 1]]


def test_a_dry_run_tells_of_what_a_move_task_stops_at(redrive: Any) -> None:
    dlq, work = redrive.pair()
    redrive.queue("work-too", dlq=dlq)
    redrive.send(work, "in its source")
    redrive.perish(work)
    redrive.send(dlq, "from nowhere")

    (plan,) = redrive.plan({"dryRun": True})["queues"]
    assert plan["mode"] == "bulk"
    assert (plan["forecast"]["wouldRedrive"], plan["forecast"]["reasons"]) == (1, {"SEVERAL_SOURCES": 1})


def test_a_dry_run_says_why_messages_are_counted(redrive: Any) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    redrive.redriven(dlq, hours_ago=1)

    (plan,) = redrive.plan({"dryRun": True})["queues"]
    assert plan["forecast"]["whyCounted"].startswith("The queue was last redriven at")
