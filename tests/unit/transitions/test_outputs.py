"""Calls of SQS hold what they may, and what it refuses is told by its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.testing.stream_records import stream_record
from transitions.detection import Transition, detect, read
from transitions.outputs import MOST_BYTES, MOST_INLINE_BYTES, Outputs
from transitions.rules import parse_rules

RULES = parse_rules(
    {
        "rules": [
            {
                "name": "to-queue",
                "itemType": "Job",
                "description": "Everything goes to the queue",
                "when": {"changed": ["text"]},
                "output": {"queue": True, "carry": ["text"]},
            },
            {
                "name": "to-object",
                "itemType": "Note",
                "description": "Everything is written",
                "when": {"changed": ["text"]},
                "output": {
                    "object": {"key": "notes/${meta.transitionId}.json", "body": {"text": "${new.text}"}},
                    "carry": ["text"],
                },
            },
        ]
    }
)
BY_TYPE = {"Job": RULES[:1], "Note": RULES[1:]}


def transition(item: str, text: str = "", kind: str = "Job") -> Transition:
    new = {"id": {"S": item}, "itemType": {"S": kind}, "text": {"S": text}}
    (found,) = detect(read(stream_record(new=new)), BY_TYPE)
    return found


class Services:
    """SQS and S3 in one: takes what it is not told to refuse."""

    def __init__(self, refused: tuple[str, ...] = (), broken: bool = False) -> None:
        self.refused, self.broken = refused, broken
        self.calls: list[list[dict[str, Any]]] = []
        self.objects: dict[str, bytes] = {}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert QueueUrl == "queue"
        if self.broken:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessageBatch")
        self.calls.append(Entries)
        failed = [one for one in Entries if json.loads(one["MessageBody"])["key"]["id"] in self.refused]
        return {"Failed": [{"Id": one["Id"], "Code": "InternalError"} for one in failed]}

    def put_object(self, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803
        if self.broken:
            raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")
        self.objects[Key] = Body


def outputs(services: Any) -> Outputs:
    return Outputs(services, services, "queue", "bucket")


def test_ten_messages_go_in_a_call() -> None:
    services = Services()
    assert outputs(services).send([transition(f"item-{number}") for number in range(25)]) == set()
    assert [len(call) for call in services.calls] == [10, 10, 5]


def test_a_call_has_no_more_bytes_than_sqs_takes() -> None:
    services = Services()
    outputs(services).send([transition(f"item-{number}", "ü" * 45_000) for number in range(6)])
    sizes = [sum(len(one["MessageBody"].encode()) for one in call) for call in services.calls]
    assert max(sizes) <= MOST_BYTES
    assert sum(len(call) for call in services.calls) == 6


def test_a_message_names_its_group_and_its_transition() -> None:
    services = Services()
    one = transition("item")
    outputs(services).send([one])
    ((entry,),) = services.calls
    assert entry["MessageGroupId"] == one.group
    assert entry["MessageDeduplicationId"] == one.transition_id
    assert json.loads(entry["MessageBody"])["transitionId"] == one.transition_id
    assert "MessageAttributes" not in entry


def test_what_is_refused_alone_is_told_alone() -> None:
    items = [transition(name) for name in ("a", "b", "c")]
    assert outputs(Services(refused=("b",))).send(items) == {1}


def test_a_refused_call_refuses_all_that_was_in_it() -> None:
    items = [transition("a"), transition("b"), transition("c", kind="Note")]
    assert outputs(Services(broken=True)).send(items) == {0, 1, 2}


@pytest.mark.parametrize("text", ["x" * 400_000, "\u0001" * 400_000])
def test_what_is_too_large_for_a_message_is_referred_to(text: str) -> None:
    services = Services()
    one = transition("item", text)
    assert outputs(services).send([one]) == set()
    ((entry,),) = services.calls
    body = json.loads(entry["MessageBody"])
    assert "attributes" not in body
    written = services.objects[body["reference"]["key"]]
    assert body["reference"] == {
        "bucket": "bucket",
        "key": f"transitions/attributes/{one.transition_id}.json",
        "length": len(written),
    }
    assert json.loads(written) == {"text": text}
    assert len(entry["MessageBody"].encode()) < MOST_INLINE_BYTES


def test_an_object_is_the_same_each_time() -> None:
    first, second = Services(), Services()
    outputs(first).send([transition("item", 'a"b', kind="Note")])
    outputs(second).send([transition("item", 'a"b', kind="Note")])
    assert first.objects == second.objects
    ((key, body),) = first.objects.items()
    assert key.startswith("transitions/notes/")
    assert json.loads(body) == {"text": 'a"b'}
