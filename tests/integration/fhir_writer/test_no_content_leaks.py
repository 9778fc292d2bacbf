"""Marked items through every way of the writer: no mark in logs, metrics, errors, keys, attributes."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local.testing.fhir_writer_hub import WriterHub
from local.testing.marked_records import MARKS, mark
from local.testing.mocked_hub import BUCKET, REGION

PATIENT = ("Patient", "p1")
MARKED = {"familyName": {"S": mark("name")}, "phone": {"S": mark("phone")}}


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Operations of AWS that are refused in words that quote content."""
    operations: set[str] = set()
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def refuse(client: Any, operation: str, parameters: Any) -> Any:
        if operation in operations:
            raise ClientError({"Error": {"Code": "Odd", "Message": mark("refusal")}}, operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", refuse)
    return operations


def outcome() -> str:
    issue = {"severity": "error", "diagnostics": mark("outcome")}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [issue]})


def stored() -> str:
    """Items of the hub's table, and keys and metadata of objects."""
    s3 = boto3.client("s3", REGION)
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    heads = [s3.head_object(Bucket=BUCKET, Key=one["Key"])["Metadata"] for one in listed]
    items = boto3.client("dynamodb", REGION).scan(TableName="hub")["Items"]
    return repr([items, [one["Key"] for one in listed], heads])


def test_nothing_of_an_item_leaves_by_another_way_than_it_should(
    writer: WriterHub,
    failing: set[str],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = writer.server.faults
    change = writer.put("Patient", "PATIENT", PATIENT, **MARKED)
    answers = [writer.write(change)]
    for status, body in ((400, outcome()), (500, mark("body")), (403, mark("body")), (400, mark("body"))):
        faults.answer(4, status, body, "UpdateResource")
        changed = {**MARKED, "email": {"S": mark(f"mail-{len(answers)}")}}
        answers.append(writer.write(writer.put("Patient", "PATIENT", PATIENT, **changed)))
        faults.clear()
    answers.append(writer.write(writer.put("Patient", "PATIENT", PATIENT, birthDate={"S": mark("date")})))
    for operation in ("Query", "UpdateItem", "PutObject"):
        failing.add(operation)
        wrong = {"gender": {"S": mark("code")}}
        answers.append(writer.write(writer.put("Patient", "PATIENT", PATIENT, **wrong)))
        failing.clear()
    writer.queue({"detail": {"meta": {"eventId": mark("event")}}}, {"detail": mark("detail")})

    assert [answer == [] for answer in answers] == [True, True, *[False] * 3, True, *[False] * 3]
    said = capsys.readouterr()
    logged = "\n".join(repr(vars(record)) for record in caplog.records)
    assert MARKS.search(said.out + said.err + logged) is None
    assert MARKS.search(stored()) is None
    assert "Odd" in logged


def test_a_mark_would_be_found_where_it_belongs(writer: WriterHub) -> None:
    writer.server.faults.answer(1, 400, outcome(), "UpdateResource")
    writer.write(writer.put("Patient", "PATIENT", PATIENT, **MARKED))
    (record,) = writer.quarantined()
    assert MARKS.search(json.dumps(record)) is not None
