"""Marked messages through every kind: no mark in logs, metrics, results, errors, keys, items and calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from common.errors import HubError
from dlq_redrive.dead_letter import KINDS
from local.testing.marked_records import MARKS, mark
from local.testing.mocked_hub import BUCKET, REGION, TABLE

CONTENT = {"MessageBody", "MessageAttributes", "Body", "Payload", "input", "Entries"}
"""What a message is sent with, and the body of its object in quarantine."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every call, without what may hold content. What fails is refused in words that quote it."""
    made: list[str] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def note(client: Any, operation: str, parameters: Any) -> Any:
        made.append(repr((operation, {k: v for k, v in parameters.items() if k not in CONTENT})))
        to_work = parameters.get("QueueUrl", "").endswith("-work")
        if operation == "SendMessage" and to_work and "fails" in parameters["MessageBody"]:
            raise ClientError({"Error": {"Code": "Odd", "Message": mark("refusal")}}, operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    return made


def stored() -> Iterator[str]:
    """Items of the table, and keys and metadata of objects."""
    yield repr(boto3.client("dynamodb", REGION).scan(TableName=TABLE)["Items"])
    s3 = boto3.client("s3", REGION)
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        head = s3.head_object(Bucket=BUCKET, Key=entry["Key"])
        yield repr([entry["Key"], head["Metadata"], head["ContentType"]])


def everything(redrive: Any, dlq: str) -> Iterator[str]:
    """What planning and redriving a queue return or raise."""
    yield json.dumps(redrive.plan({"dryRun": True}))
    plan = redrive.plan_of(dlq)
    yield json.dumps(plan)
    for execution in ("one", "two"):
        try:
            yield json.dumps(redrive.run_all(plan, execution))
        except HubError as error:
            yield repr(error)
            yield repr(error.__cause__)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_message_is_seen_outside_of_where_it_goes(
    redrive: Any, calls: list[str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dlq = redrive.queue("dead", kind=kind)
    work = redrive.queue("work", dlq=dlq if kind == "sqs" else None)
    attributes = {"note": mark("attribute"), "TARGET_ARN": work, "ERROR_MESSAGE": mark("error")}
    for body in ("goes back", "fails", '{"odd": true'):
        redrive.send(dlq, f"{body} {mark('body')}", attributes)
    calls.clear()

    seen = [*everything(redrive, dlq), *calls, *stored(), *capsys.readouterr()]
    assert [place for place in seen if MARKS.search(place)] == []
    kept = [*redrive.messages(work), *redrive.messages(dlq), *redrive.quarantined()]
    assert len(kept) == 3
    assert calls


def test_a_wrong_input_is_not_repeated(redrive: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for request in ({"mode": mark("m")}, {"queueArn": mark("q")}, {"destinationArn": mark("d")}):
        with pytest.raises(HubError) as refusal:
            redrive.plan(request)
        assert not MARKS.search(str(refusal.value) + "".join(capsys.readouterr()))
