"""From events of the bus to messages of the writer's queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from common.errors import InvalidSetting
from fhir_writer import queue_fhir_writes, write_fhir
from fhir_writer.settings import queue_settings
from fhir_writer.write_queue import queue_changes
from local.testing.fhir_writer_hub import WriterHub, context
from local.testing.mocked_hub import REGION

META = {
    "eventId": "e1",
    "change": "PatientModify",
    "itemType": "Patient",
    "id": "p1",
    "sk": "PATIENT",
    "stream": "2026-11-20T09:00:00.000",
    "sequenceNumber": "100000000000000000001",
    "time": "2026-11-20T12:00:00.000Z",
    "table": "records",
    "resourceType": "Patient",
    "resourceId": "p1",
    "inline": True,
}


def event(**meta: Any) -> dict[str, Any]:
    return {"detail-type": "PatientModify", "detail": {"meta": {**META, **meta}, "new": {"familyName": "M"}}}


def test_a_change_becomes_a_message_without_content(writer: WriterHub) -> None:
    assert writer.queue(event()) == {"batchItemFailures": []}
    (message,) = writer.queued()
    group = message.pop("group")
    assert message == {
        "eventId": "e1",
        "itemType": "Patient",
        "id": "p1",
        "sk": "PATIENT",
        "stream": "2026-11-20T09:00:00.000",
        "sequenceNumber": "100000000000000000001",
        "resourceType": "Patient",
        "resourceId": "p1",
    }
    assert len(group) == 32
    assert "p1" not in group


def test_changes_of_one_resource_are_one_group(writer: WriterHub) -> None:
    writer.queue(
        event(),
        event(eventId="e2", itemType="Address", sk="ADDRESS#1"),
        event(eventId="e3", resourceId="p2", id="p2"),
    )
    groups = {one["eventId"]: one["group"] for one in writer.queued()}
    assert groups["e1"] == groups["e2"] != groups["e3"]


def test_an_event_that_refers_to_its_content_is_a_change_like_others(writer: WriterHub) -> None:
    referring = {"detail": {"meta": {**META, "inline": False}, "reference": {"bucket": "b", "key": "k"}}}
    assert writer.queue(referring) == {"batchItemFailures": []}
    assert len(writer.queued()) == 1


def test_the_writer_is_told_of_which_stream_a_change_is(writer: WriterHub) -> None:
    assert writer.queue(event(stream="")) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    writer.queue(event(stream="2026-11-21T09:00:00.000"))
    (message,) = writer.queued()
    assert message["stream"] == "2026-11-21T09:00:00.000"


def test_the_same_event_within_five_minutes_is_one_message(writer: WriterHub) -> None:
    writer.queue(event())
    writer.queue(event(), event(eventId="e2"))
    assert len(writer.queued()) == 2


@pytest.mark.parametrize(
    "broken",
    [{"detail": {}}, {"detail": {"meta": {**META, "resourceId": "../p2"}}}, {"detail": {"meta": "x"}}, {}],
)
def test_what_is_no_event_of_a_change_stays_and_its_neighbours_go_on(
    writer: WriterHub, broken: dict[str, Any]
) -> None:
    answer = writer.queue(event(), broken, event(eventId="e2"))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert len(writer.queued()) == 2


def test_what_the_queue_does_not_take_stays(writer: WriterHub) -> None:
    class Refusing:
        def send_message_batch(self, **request: Any) -> dict[str, Any]:
            return {"Failed": [{"Id": request["Entries"][1]["Id"], "Code": "ServiceUnavailable"}]}

    records = [{"messageId": str(n), "body": json.dumps(event(eventId=f"e{n}"))} for n in range(3)]
    answer, queued = queue_changes(Refusing(), "url", records)  # type: ignore[arg-type]
    assert (answer, queued) == ({"batchItemFailures": [{"itemIdentifier": "1"}]}, 2)


def test_where_writing_is_off_changes_are_let_go(writer: WriterHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_WRITES", "off")
    queue_settings.cache_clear()
    assert writer.queue(event()) == {"batchItemFailures": []}
    assert writer.queued() == []


def test_a_missing_setting_is_named(writer: WriterHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FHIR_WRITES_QUEUE_URL")
    queue_settings.cache_clear()
    with pytest.raises(InvalidSetting, match="FHIR_WRITES_QUEUE_URL"):
        writer.queue(event())


def test_the_sample_of_a_consumer_becomes_the_sample_of_the_writer(
    writer: WriterHub, sample_event: Callable[[str], Any]
) -> None:
    answer = queue_fhir_writes.lambda_handler(sample_event("fhir_writer/changes_were_received"), context())
    assert answer == {"batchItemFailures": []}
    sample = sample_event("fhir_writer/writes_were_queued")
    received = boto3.client("sqs", REGION).receive_message(
        QueueUrl=writer.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
    )["Messages"]
    assert [one["Body"] for one in received] == [one["body"] for one in sample["Records"]]
    for one, other in zip(received, sample["Records"], strict=True):
        for name in ("MessageGroupId", "MessageDeduplicationId"):
            assert one["Attributes"][name] == other["attributes"][name]
    assert write_fhir.lambda_handler(sample, context()) == {"batchItemFailures": []}
