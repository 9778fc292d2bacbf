"""One message of each kind of dead-letter queue comes back where it was bound, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import boto3
import pytest

from common import aws_clients
from local.testing.mocked_hub import ACCOUNT, BUS, REGION
from local.testing.redrive_hub import RedriveHub
from local.testing.redrive_queues import Queue

MACHINE_ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:hub-test-bound-for"
Seen = tuple[str, Any]


class Places:
    """Everywhere a message could come back to; `seen` says what came where."""

    def __init__(self, redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch) -> None:
        self.redrive = redrive
        self.queues = {name: redrive.queue(name) for name in ("bound-for-queue", "other-queue")}
        self.called: list[Seen] = []
        self.functions = {
            name: redrive.bindings.function(name, self._noting(name)) for name in ("bound-for", "other")
        }
        monkeypatch.setattr(aws_clients, "stepfunctions", lambda: self)
        self.exceptions = boto3.client("stepfunctions", REGION).exceptions

    def _noting(self, name: str) -> Callable[[Any, Any], None]:
        return lambda event, _context: self.called.append((f"function {name}", event))

    def start_execution(self, **request: Any) -> None:
        """Step Functions' StartExecution of another state machine than the bench's own."""
        self.called.append(("execution", [request["stateMachineArn"], json.loads(request["input"])]))

    @property
    def seen(self) -> list[Seen]:
        queued = [(name, body) for name, queue in self.queues.items() for body in self.redrive.bodies(queue)]
        events = [
            (f"bus {event['bus']}", [event["detail-type"], event["detail"]])
            for event in self.redrive.bench.events
        ]
        return [_with_ids_alone(*one) for one in [*self.called, *queued, *events]]


def _with_ids_alone(place: str, came: Any) -> Seen:
    """Of records of the stream the ids of their items."""
    text = came if isinstance(came, str) else json.dumps(came)
    if '"NewImage"' not in text:
        return place, came
    found = json.loads(text)
    records = found["Records"] if isinstance(found, dict) and "Records" in found else found
    records = records if isinstance(records, list) else [records]
    return place, [one["dynamodb"]["NewImage"]["id"]["S"] for one in records]


@pytest.fixture
def places(redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch) -> Places:
    return Places(redrive, monkeypatch)


def send(places: Places, queue: Queue, body: Any, **texts: str) -> None:
    attributes: Any = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
    text = body if isinstance(body, str) else json.dumps(body)
    places.redrive.sqs.send_message(QueueUrl=queue.url, MessageBody=text, MessageAttributes=attributes)


EVENT = {
    "version": "0",
    "id": "00000000-0000-0000-0000-000000000000",
    "detail-type": "FhirResourceUpdated",
    "source": "healthlake-hub",
    "account": ACCOUNT,
    "time": "2026-01-01T00:00:00Z",
    "region": REGION,
    "resources": [],
    "detail": {"n": 1},
}


def by_rule_to_function(places: Places, dead: Queue) -> Seen:
    target = places.functions["bound-for"]
    send(places, dead, EVENT, **places.redrive.bindings.rule(target, dead))
    return "function bound-for", EVENT


def by_rule_to_queue(places: Places, dead: Queue) -> Seen:
    target = places.queues["bound-for-queue"].arn
    send(places, dead, EVENT, **places.redrive.bindings.rule(target, dead))
    return "bound-for-queue", json.dumps(EVENT)


def by_rule_to_state_machine(places: Places, dead: Queue) -> Seen:
    send(places, dead, EVENT, **places.redrive.bindings.rule(MACHINE_ARN, dead))
    return "execution", [MACHINE_ARN, EVENT]


def by_async(places: Places, dead: Queue) -> Seen:
    function = places.functions["bound-for"]
    places.redrive.bindings.failing_to(function, dead)
    send(places, dead, {"requestContext": {"functionArn": function}, "requestPayload": {"n": 1}})
    return "function bound-for", {"n": 1}


def by_schedule(places: Places, dead: Queue) -> Seen:
    attributes = places.redrive.bindings.schedule(MACHINE_ARN, dead)
    send(places, dead, {"StateMachineArn": MACHINE_ARN, "Input": '{"n": 1}'}, **attributes)
    return "execution", [MACHINE_ARN, {"n": 1}]


def by_bus(places: Places, dead: Queue) -> Seen:
    send(places, dead, EVENT)
    return f"bus {BUS}", ["FhirResourceUpdated", {"n": 1}]


def by_stream(places: Places, dead: Queue) -> Seen:
    bindings = places.redrive.bindings
    who = bindings.reader(places.functions["bound-for"], dead)
    send(places, dead, bindings.failed_batch(who, first=1, last=3))
    return "function bound-for", ["1", "2", "3"]


def by_pipe_to_function(places: Places, dead: Queue) -> Seen:
    bindings = places.redrive.bindings
    who = bindings.pipe(dead, places.functions["bound-for"])
    send(places, dead, bindings.failed_batch(who, first=2, last=4))
    return "function bound-for", ["2", "3", "4"]


def by_pipe_to_queue(places: Places, dead: Queue) -> Seen:
    bindings = places.redrive.bindings
    who = bindings.pipe(dead, places.queues["bound-for-queue"].arn)
    send(places, dead, bindings.failed_batch(who, first=5, last=5))
    return "bound-for-queue", ["5"]


def by_pipe_to_bus(places: Places, dead: Queue) -> Seen:
    bindings = places.redrive.bindings
    bus = {"EventBridgeEventBusParameters": {"Source": "pipe", "DetailType": "Changed"}}
    halves = bindings.function("halves", lambda events, _context: [{"n": 1}] * (len(events) // 2))
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{BUS}"
    who = bindings.pipe(dead, arn, TargetParameters=bus, Enrichment=halves)
    send(places, dead, bindings.failed_batch(who, first=0, last=1))
    return f"bus {BUS}", ["Changed", {"n": 1}]


KINDS: dict[str, tuple[str, Callable[[Places, Queue], Seen]]] = {
    "rule to a function": ("rule", by_rule_to_function),
    "rule to a queue": ("rule", by_rule_to_queue),
    "rule to a state machine": ("rule", by_rule_to_state_machine),
    "async": ("async", by_async),
    "schedule": ("schedule", by_schedule),
    "bus": ("bus", by_bus),
    "stream": ("stream", by_stream),
    "pipe to a function": ("pipe", by_pipe_to_function),
    "pipe to a queue": ("pipe", by_pipe_to_queue),
    "pipe with an enrichment to a bus": ("pipe", by_pipe_to_bus),
}


@pytest.mark.parametrize(("kind", "die"), KINDS.values(), ids=KINDS)
def test_a_message_comes_back_where_it_was_bound_and_nowhere_else(
    redrive: RedriveHub, places: Places, kind: str, die: Callable[[Places, Queue], Seen]
) -> None:
    dead = redrive.queue("dead", kind=kind)
    expected = die(places, dead)

    run = redrive.run()

    assert run.path[-1] == "Redriven"
    assert places.seen == [expected]
    assert (redrive.bodies(dead), redrive.quarantined()) == ([], [])


@pytest.mark.parametrize(
    ("kind", "die"),
    [one for one in KINDS.values() if one[0] != "bus"],
    ids=[one for one in KINDS if one != "bus"],
)
def test_a_message_that_was_written_into_another_queue_goes_to_quarantine(
    redrive: RedriveHub, places: Places, kind: str, die: Callable[[Places, Queue], Seen]
) -> None:
    dead, forged = redrive.queue("dead", kind=kind), redrive.queue("forged", kind=kind)
    die(places, dead)
    (message,) = redrive.messages(dead)
    texts = {name: one["StringValue"] for name, one in message.message_attributes.items()}
    send(places, forged, str(message.body), **texts)

    run = redrive.run({"queueArn": forged.arn})

    assert run.path[-1] == "Quarantined"
    assert places.seen == []
    assert [one["reason"] for one in redrive.quarantined()] == ["TARGET_NOT_BOUND"]


@pytest.mark.parametrize("kind", ["stream", "pipe"])
def test_records_that_the_stream_has_dropped_go_to_quarantine_with_where_they_stood(
    redrive: RedriveHub, places: Places, kind: str
) -> None:
    dead, bindings, function = (
        redrive.queue("dead", kind=kind),
        redrive.bindings,
        places.functions["bound-for"],
    )
    who = bindings.reader(function, dead) if kind == "stream" else bindings.pipe(dead, function)
    batch = bindings.failed_batch(who, first=1, last=2, age=timedelta(hours=25))
    send(places, dead, batch)

    run = redrive.run()

    assert run.path[-1] == "Quarantined"
    assert (places.seen, redrive.bodies(dead)) == ([], [])
    assert [(one["reason"], one["body"]) for one in redrive.quarantined()] == [("POSITION_EXPIRED", batch)]


def test_a_function_that_fails_on_its_records_again_has_them_counted_and_the_run_says_so(
    redrive: RedriveHub,
) -> None:
    dead, calls = redrive.queue("dead", kind="stream"), []

    def fail(event: Any, _context: Any) -> None:
        calls.append(len(event["Records"]))
        raise ValueError

    who = redrive.bindings.reader(redrive.bindings.function("broken", fail), dead)
    redrive.send(dead, [redrive.bindings.failed_batch(who, first=0, last=1)])

    runs = [redrive.run() for _ in range(5)]

    assert runs[0].path[-1] == "Redrive Failed"
    assert calls == [2, 2, 2]
    assert [one["reason"] for one in redrive.quarantined()] == ["REDRIVEN_TOO_OFTEN"]


@pytest.mark.parametrize("mode", ["bulk", "counted"])
def test_two_queues_that_share_a_dead_letter_queue_each_get_their_own(
    redrive: RedriveHub, places: Places, mode: str
) -> None:
    dead, work = redrive.pair()
    sibling = redrive.queue("sibling", dead_letters=dead)
    redrive.die(work, "of work")
    redrive.die(sibling, "of sibling")

    run = redrive.run({"mode": mode})

    assert run.path[-1] == "Redriven"
    assert (redrive.bodies(work), redrive.bodies(sibling), places.seen) == (["of work"], ["of sibling"], [])


def test_all_kinds_at_once_come_back(redrive: RedriveHub, places: Places) -> None:
    expected: Sequence[Seen] = [
        die(places, redrive.queue(f"dead-{number}", kind=kind))
        for number, (kind, die) in enumerate(KINDS.values())
    ]
    _, work = redrive.pair()
    redrive.die(work, "a")

    run = redrive.run()

    assert run.path[-1] == "Redriven"
    assert [one["outcome"] for one in redrive.told(run)] == ["REDRIVEN"] * (len(KINDS) + 1)
    assert sorted(map(str, places.seen)) == sorted(map(str, expected))
    assert redrive.bodies(work) == ["a"]
