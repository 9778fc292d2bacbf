"""What X-Ray is told of a failed call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_xray_sdk.core.models.segment import Segment
from aws_xray_sdk.core.models.subsegment import Subsegment
from botocore.exceptions import ClientError

from common.quiet_traces import QuietEmitter


class KeptEntities:
    """An emitter that keeps what it would send."""

    port = 2000

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send_entity(self, entity: Any) -> None:
        self.sent.append(json.loads(entity.serialize()))


@pytest.fixture
def segment() -> Segment:
    """A segment with a failed call of DynamoDB below a call of the function's own."""
    segment = Segment("function")
    outer, inner = Subsegment("handler", "local", segment), Subsegment("dynamodb", "aws", segment)
    segment.add_subsegment(outer)
    outer.add_subsegment(inner)
    refused = ClientError({"Error": {"Code": "ValidationException", "Message": "Smith is no key"}}, "PutItem")
    inner.add_exception(refused, [], True)
    outer.add_exception(refused, [])
    return segment


def test_an_exception_is_sent_without_its_message(segment: Segment) -> None:
    kept = KeptEntities()

    QuietEmitter(kept).send_entity(segment)

    (outer,) = kept.sent[0]["subsegments"]
    (recorded,) = outer["subsegments"][0]["cause"]["exceptions"]
    assert (recorded["type"], recorded["remote"]) == ("ClientError", True)
    assert "Smith" not in json.dumps(kept.sent)


def test_everything_else_is_the_emitter_behind(segment: Segment) -> None:
    assert QuietEmitter(KeptEntities()).port == 2000
