"""The writer against a HealthLake over HTTP: what it writes, and what becomes of what cannot be written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import boto3
import pytest

from change_stream.fhir_mapping import fhir_mappings
from common import aws_clients
from fhir_writer.write_messages import FhirWrite
from local.erasure.matching import Matcher
from local.testing.fhir_writer_hub import WriterHub
from local.testing.mocked_hub import REGION

PATIENT = ("Patient", "p1")
BASE = ("Patient", "PATIENT", PATIENT)
HOME = ("Address", "ADDRESS#1", PATIENT)


def base(writer: WriterHub, **attributes: Any) -> FhirWrite:
    named = {"familyName": {"S": "Marker-Müller"}, **attributes}
    return writer.put(*BASE, **named)


def stored(writer: WriterHub) -> dict[str, Any] | None:
    """The patient as HealthLake has it, without meta; None where it is not there."""
    answer = writer.fhir.send("GET", "Patient/p1")
    if answer.status in (404, 410):
        return None
    document: dict[str, Any] = answer.document
    return {name: value for name, value in document.items() if name != "meta"}


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(repr(vars(record)) for record in caplog.records)


def version(writer: WriterHub) -> str:
    found: str = writer.fhir.send("GET", "Patient/p1").document["meta"]["versionId"]
    return found


def test_a_patient_and_the_addresses_are_one_resource(writer: WriterHub) -> None:
    changes = [base(writer), writer.put(*HOME, city={"S": "Berlin"})]
    assert writer.write(*changes) == []
    found = stored(writer)
    assert found is not None
    assert found["name"] == [{"use": "official", "family": "Marker-Müller"}]
    assert [one["city"] for one in found["address"]] == ["Berlin"]


def test_decimals_arrive_with_their_digits(writer: WriterHub) -> None:
    values = {"code": {"S": "718-7"}, "value": {"N": "1.10"}, "unit": {"S": "g/dL"}}
    key = fhir_mappings().key_of("Measurement", "p1", "MEASUREMENT#1")
    assert key is not None
    resource = (key.resource_type, key.resource_id)
    change = writer.put("Measurement", "MEASUREMENT#1", resource, **values)
    assert writer.write(change) == []
    text = writer.fhir.send("GET", "/".join(resource)).body
    assert b'"value":1.1' in text.replace(b" ", b"")


def test_whatever_the_order_of_messages_the_resource_is_what_the_records_are(writer: WriterHub) -> None:
    first = base(writer, gender={"S": "F"})
    second = base(writer, gender={"S": "M"})
    assert writer.write(second) == []
    assert writer.write(first) == []
    assert (stored(writer) or {})["gender"] == "male"
    assert version(writer) == "1"


def test_a_message_that_comes_again_writes_nothing(writer: WriterHub) -> None:
    change = base(writer)
    for _ in range(3):
        assert writer.write(change) == []
    assert version(writer) == "1"


def test_a_removed_base_item_deletes_the_resource_and_a_new_one_brings_it_back(writer: WriterHub) -> None:
    assert writer.write(base(writer), writer.put(*HOME, city={"S": "Berlin"})) == []
    removed = writer.remove(*BASE)
    assert writer.write(removed) == []
    assert stored(writer) is None
    assert writer.write(removed) == []
    assert writer.write(base(writer)) == []
    assert (stored(writer) or {})["address"][0]["city"] == "Berlin"


def test_a_resource_that_was_never_written_need_not_be_deleted(writer: WriterHub) -> None:
    assert writer.write(writer.remove(*BASE)) == []
    assert stored(writer) is None


def test_what_somebody_else_has_written_meanwhile_is_overwritten(writer: WriterHub) -> None:
    assert writer.write(base(writer)) == []
    writer.fhir.put("Patient", "p1", gender="other")
    assert writer.write(base(writer, gender={"S": "F"})) == []
    assert (stored(writer) or {})["gender"] == "female"


def test_a_writer_that_died_between_writing_and_noting_writes_nothing_twice(writer: WriterHub) -> None:
    change = base(writer)
    assert writer.write(change) == []
    key = {name: writer.state()[0][name] for name in ("pk", "sk")}
    boto3.client("dynamodb", REGION).delete_item(TableName="hub", Key=key)
    assert writer.write(change) == []
    assert version(writer) == "1"


def test_without_what_the_hub_remembers_the_last_state_is_the_same(writer: WriterHub) -> None:
    """The item may expire at any time: an old message then reads the records, as every other."""
    first, second = base(writer, gender={"S": "F"}), base(writer, gender={"S": "M"})
    assert writer.write(first, second) == []
    key = {name: writer.state()[0][name] for name in ("pk", "sk")}
    boto3.client("dynamodb", REGION).delete_item(TableName="hub", Key=key)
    assert writer.write(first) == []
    assert (stored(writer) or {})["gender"] == "male"


def test_while_another_worker_holds_the_resource_the_message_stays(writer: WriterHub) -> None:
    change = base(writer)
    assert writer.write(change) == []
    item = {**writer.state()[0], "claimedBy": {"S": "other"}, "claimedUntil": {"N": "99999999999"}}
    boto3.client("dynamodb", REGION).put_item(TableName="hub", Item=item)
    assert writer.write(base(writer), base(writer)) == [0, 1]
    boto3.client("dynamodb", REGION).put_item(TableName="hub", Item={**item, "claimedUntil": {"N": "1"}})
    assert writer.write(base(writer)) == []


def test_a_message_that_comes_again_need_not_wait_for_the_claim_of_its_reader_before(
    writer: WriterHub,
) -> None:
    change = base(writer)
    assert writer.write(change) == []
    claim = {"claimedBy": {"S": "dead"}, "claimedUntil": {"N": "99999999999"}}
    earlier = {"claimedFor": {"S": "0"}, "claimedDelivery": {"N": "1"}}
    item = {**writer.state()[0], **claim, **earlier}
    boto3.client("dynamodb", REGION).put_item(TableName="hub", Item=item)
    later = base(writer, gender={"S": "F"})
    assert writer.write(later) == [0]
    assert writer.write(later, delivered=2) == []
    assert (stored(writer) or {})["gender"] == "female"


def test_what_is_remembered_expires_long_after_every_message(writer: WriterHub) -> None:
    writer.write(base(writer))
    (item,) = writer.state()
    assert set(item) == {"pk", "sk", "applied", "etag", "expiresAt"}
    assert "p1" not in json.dumps(item)


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_while_healthlake_is_busy_the_message_stays_and_neighbours_are_written(
    writer: WriterHub, status: int
) -> None:
    patient = base(writer)
    other = writer.put("Patient", "PATIENT", PATIENT)
    assert writer.write(patient) == []
    writer.server.faults.refuse(4, status, "ThrottlingException", "UpdateResource")
    measured = replace(other, item_type="Patient", id="p2", resource_id="p2")
    boto3.client("dynamodb", REGION).put_item(
        TableName="records", Item={"id": {"S": "p2"}, "sk": {"S": "PATIENT"}, "itemType": {"S": "Patient"}}
    )
    assert writer.write(other, measured, base(writer)) == [0, 2]
    assert writer.fhir.send("GET", "Patient/p2").status == 200
    assert writer.write(other) == []


def test_a_write_that_landed_although_its_answer_was_lost_is_not_made_twice(writer: WriterHub) -> None:
    assert writer.write(base(writer)) == []
    writer.server.faults.answer(1, 500, "", "UpdateResource", performed=True)
    assert writer.write(base(writer, gender={"S": "F"})) == []
    assert (stored(writer) or {})["gender"] == "female"
    assert version(writer) == "2"


def test_a_refused_resource_lies_in_quarantine_with_healthlakes_words(
    writer: WriterHub, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"diagnostics": "Marker-Müller is no name"}]}
    writer.server.faults.answer(1, 400, json.dumps(outcome), "UpdateResource")
    change = base(writer)
    assert writer.write(change) == []
    (record,) = writer.quarantined()
    assert record["key"] == f"quarantine/fhir-writes/{change.event_id}.json"
    assert record["reason"] == "REFUSED_BY_HEALTHLAKE"
    assert (record["operation"], record["status"]) == ("PUT", 400)
    assert record["operationOutcome"] == outcome
    assert json.loads(record["resource"])["name"][0]["family"] == "Marker-Müller"
    assert Matcher("p1").of_text(json.dumps(record).encode()) is not None
    assert FhirWrite.from_meta(record["message"]) == change
    said = capsys.readouterr().out + logged(caplog)
    assert "FhirWritesQuarantined" in said
    assert "Marker" not in said
    assert writer.write(base(writer)) == []
    assert stored(writer) is not None


def test_items_that_make_no_resource_lie_in_quarantine(writer: WriterHub) -> None:
    change = base(writer, birthDate={"S": "not a date"})
    assert writer.write(change) == []
    (record,) = writer.quarantined()
    assert (record["reason"], record["message"]["eventId"]) == ("UNMAPPABLE", change.event_id)
    assert "birthDate" in record["explanation"]
    assert "not a date" not in record["explanation"]


def test_a_change_of_a_type_that_is_not_declared_any_more_lies_in_quarantine(writer: WriterHub) -> None:
    change = writer.put("Forgotten", "FORGOTTEN", PATIENT)
    assert writer.write(change) == []
    assert writer.quarantined()[0]["reason"] == "UNMAPPABLE"


def test_a_missing_permission_is_named_and_loses_nothing(
    writer: WriterHub, caplog: pytest.LogCaptureFixture
) -> None:
    writer.server.faults.answer(1, 403, '{"message": "no"}', "UpdateResource")
    assert writer.write(base(writer)) == [0]
    assert "healthlake:UpdateResource" in logged(caplog)
    assert writer.quarantined() == []


def test_what_there_is_no_time_for_stays_in_the_queue(writer: WriterHub) -> None:
    assert writer.write(base(writer), seconds_left=20) == [0]
    assert stored(writer) is None


def test_an_unsigned_writer_would_be_refused(writer: WriterHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server recomputes signatures; a writer with another secret gets nothing in."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    aws_clients.forget_clients()
    assert writer.write(base(writer)) == [0]
    assert stored(writer) is None
