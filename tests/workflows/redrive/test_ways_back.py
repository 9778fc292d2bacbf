"""One message of each kind of dead-letter queue comes back where it was bound, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from common import aws_clients
from local.testing.mocked_hub import ACCOUNT, BUS, REGION
from local.testing.redrive_hub import RedriveHub
from local.testing.redrive_queues import Queue

MACHINE_ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:bound-for"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}"


class Places:
    """Everywhere a message could come back to; `seen` says what came where."""

    def __init__(self, redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch) -> None:
        self.redrive = redrive
        self.queues = {name: redrive.queue(name) for name in ("bound-for-queue", "other-queue")}
        self.called: list[tuple[str, Any]] = []
        for name in ("bound-for", "other"):
            redrive.bench.functions[name] = self._noting(name)
        monkeypatch.setattr(aws_clients, "stepfunctions", lambda: self)
        self.exceptions = boto3.client("stepfunctions", REGION).exceptions

    def _noting(self, name: str) -> Callable[[Any, Any], None]:
        return lambda event, _context: self.called.append((f"function {name}", event))

    def start_execution(self, **request: Any) -> None:
        """Step Functions' StartExecution of another state machine than the bench's own."""
        self.called.append(("execution", [request["stateMachineArn"], json.loads(request["input"])]))

    @property
    def seen(self) -> list[tuple[str, Any]]:
        queued = [(name, body) for name, queue in self.queues.items() for body in self.redrive.bodies(queue)]
        events = [
            (f"bus {event['bus']}", [event["detail-type"], event["detail"]])
            for event in self.redrive.bench.events
        ]
        return [*self.called, *queued, *events]


@pytest.fixture
def places(redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch) -> Places:
    return Places(redrive, monkeypatch)


def attributes(**texts: str) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}


def send(redrive: RedriveHub, queue: Queue, body: Any, **texts: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    redrive.sqs.send_message(QueueUrl=queue.url, MessageBody=text, MessageAttributes=attributes(**texts))


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
RECORD = {"requestContext": {"functionArn": FUNCTION_ARN.format("bound-for")}, "requestPayload": {"n": 1}}
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{BUS}/some-rule"
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:hub-test-bound-for-queue"
KINDS: dict[str, tuple[str, Any, dict[str, str], tuple[str, Any]]] = {
    "rule to a function": (
        "rule",
        EVENT,
        {"RULE_ARN": RULE, "TARGET_ARN": FUNCTION_ARN.format("bound-for")},
        ("function bound-for", EVENT),
    ),
    "rule to a queue": (
        "rule",
        EVENT,
        {"RULE_ARN": RULE, "TARGET_ARN": QUEUE_ARN},
        ("bound-for-queue", json.dumps(EVENT)),
    ),
    "rule to a state machine": (
        "rule",
        EVENT,
        {"RULE_ARN": RULE, "TARGET_ARN": MACHINE_ARN},
        ("execution", [MACHINE_ARN, EVENT]),
    ),
    "async": ("async", RECORD, {}, ("function bound-for", {"n": 1})),
    "schedule": (
        "schedule",
        {"StateMachineArn": MACHINE_ARN, "Input": '{"n": 1}'},
        {"SCHEDULE_ARN": "arn:x", "TARGET_ARN": MACHINE_ARN},
        ("execution", [MACHINE_ARN, {"n": 1}]),
    ),
    "bus": ("bus", EVENT, {}, (f"bus {BUS}", ["FhirResourceUpdated", {"n": 1}])),
}


@pytest.mark.parametrize(("kind", "body", "texts", "expected"), KINDS.values(), ids=KINDS)
def test_a_message_comes_back_where_it_was_bound_and_nowhere_else(
    redrive: RedriveHub, places: Places, kind: str, body: Any, texts: dict[str, str], expected: Any
) -> None:
    dead = redrive.queue("dead", kind=kind)
    send(redrive, dead, body, **texts)

    run = redrive.run()

    assert run.path[-1] == "Redriven"
    assert places.seen == [expected]
    assert (redrive.bodies(dead), redrive.quarantined()) == ([], [])


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
    for number, (kind, body, texts, _) in enumerate(KINDS.values()):
        send(redrive, redrive.queue(f"dead-{number}", kind=kind), body, **texts)
    _, work = redrive.pair()
    redrive.die(work, "a")

    run = redrive.run()

    assert run.path[-1] == "Redriven"
    assert [one["outcome"] for one in redrive.told(run)] == ["REDRIVEN"] * (len(KINDS) + 1)
    assert sorted(map(str, places.seen)) == sorted(str(expected) for *_, expected in KINDS.values())
    assert redrive.bodies(work) == ["a"]
