"""The records table, its pipe to the bus and the enrichment of the template, in the local account: what is
written comes out on the bus, exact, whatever its size, and without waiting for what is none.

AWS documentation: Amazon EventBridge User Guide, «Amazon EventBridge Pipes», «Filtering», «Enrichment».
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.pipes.testing import eventually
from local.testing.change_records import Item, address, item, measurement, patient, text
from local.testing.fhir_definitions import faults
from local.testing.partial_stack import deploy_part

RESOURCES = (
    "HubKey",
    "HubBucket",
    "HubBucketPolicy",
    "HubEventBus",
    "EventBusDeadLetterKey",
    "EventBusDeadLetterQueue",
    "RecordsTable",
    "RecordsPipe",
    "RecordsPipeRole",
    "RecordsPipeDeadLetterQueue",
    "EnrichChangesFunction",
    "EnrichChangesLogs",
)
PARTS = ("iam", "lambda_runtime", "cloudwatch", "sqs", "streams", "pipes")
LARGE = "x" * 390_000
EXACT = "12345678901234567890.123456789012345678"


@dataclass
class Hub:
    """The deployed part of the stack, and a queue that hears what the pipe puts on the bus."""

    account: RunningAccount
    names: Mapping[str, str]
    queue: str
    heard: dict[str, dict[str, Any]] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return client(self.account, service)

    def put(self, one: Item) -> None:
        self.client("dynamodb").put_item(TableName=self.names["RecordsTable"], Item=one)

    def remove(self, one: Item) -> None:
        key = {name: one[name] for name in ("id", "sk")}
        self.client("dynamodb").delete_item(TableName=self.names["RecordsTable"], Key=key)

    def object(self, key: str) -> bytes:
        found = self.client("s3").get_object(Bucket=self.names["HubBucket"], Key=key)
        body: bytes = found["Body"].read()
        return body

    def quarantined(self) -> list[dict[str, Any]]:
        listed = self.client("s3").list_objects_v2(
            Bucket=self.names["HubBucket"], Prefix="quarantine/records/"
        )
        return [json.loads(self.object(one["Key"])) for one in listed.get("Contents", [])]

    def event(self, change: str, item_id: str) -> dict[str, Any]:
        """The event of a change, once it is there."""
        found: dict[str, Any] = eventually(lambda: self._heard(change, item_id))
        return found

    def _heard(self, change: str, item_id: str) -> dict[str, Any] | None:
        sqs = self.client("sqs")
        for one in sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(one["Body"])
            self.heard[event["detail"]["meta"]["eventId"]] = event
            sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return next(
            (
                event
                for event in self.heard.values()
                if event["detail-type"] == change and event["detail"]["meta"]["id"] == item_id
            ),
            None,
        )


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running_account(tmp_path_factory.mktemp("account"), parts=PARTS) as account:
        names = deploy_part(account, "hub", RESOURCES, Tracing="PassThrough", PythonRuntime="python3.11")
        yield Hub(account, names, _listening(account, names["HubEventBus"]))


def _listening(account: RunningAccount, bus: str) -> str:
    """A queue behind a rule that takes every change of a record."""
    sqs, events = client(account, "sqs"), client(account, "events")
    url: str = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = json.dumps({"source": ["healthlake-hub.records"]})
    events.put_rule(Name="hear", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="hear", EventBusName=bus, Targets=[{"Id": "heard", "Arn": arn}])
    return url


def test_changes_of_a_patient_come_out_as_events_with_their_resource(hub: Hub) -> None:
    first = patient("anna", familyName=text("Müller"), gender=text("F"))
    second = {**first, "familyName": text("Schmidt")}
    home = address("anna", city=text("Berlin"))
    hub.put(first)
    hub.put(home)
    inserted = hub.event("AddressInsert", "anna")
    hub.put(home)
    hub.put(second)
    modified = hub.event("PatientModify", "anna")["detail"]
    hub.remove(home)
    hub.remove(second)
    removed = hub.event("PatientRemove", "anna")["detail"]

    assert (inserted["source"], inserted["detail"]["resource"]["address"]) == (
        "healthlake-hub.records",
        [{"city": "Berlin"}],
    )
    assert inserted["time"][:19] == inserted["detail"]["meta"]["time"][:19]
    assert modified["changed"] == {"familyName": {"old": "Müller", "new": "Schmidt"}}
    assert modified["resource"]["name"] == [{"use": "official", "family": "Schmidt"}]
    assert faults(json.dumps(modified["resource"]).encode()) == []
    assert (removed["old"]["familyName"], "resource" in removed) == ("Schmidt", False)
    hub.event("AddressRemove", "anna")
    heard = [one["detail-type"] for one in hub.heard.values() if one["detail"]["meta"]["id"] == "anna"]
    assert sorted(heard) == [
        "AddressInsert",
        "AddressRemove",
        "PatientInsert",
        "PatientModify",
        "PatientRemove",
    ]


def test_a_number_of_38_digits_is_on_the_shelf_as_it_was_written(hub: Hub) -> None:
    hub.put(measurement("exact", value={"N": EXACT}))
    event = hub.event("MeasurementInsert", "exact")["detail"]
    assert event.keys() == {"meta", "reference"}
    whole = json.loads(hub.object(event["reference"]["key"]), parse_float=Decimal)
    assert str(whole["new"]["value"]) == EXACT
    assert str(whole["resource"]["valueQuantity"]["value"]) == EXACT


def test_an_item_of_400_kb_passes_with_both_images(hub: Hub) -> None:
    hub.put(patient("large", note=text(LARGE)))
    hub.put(patient("large", note=text(LARGE.upper())))
    event = hub.event("PatientModify", "large")["detail"]
    whole = json.loads(hub.object(event["reference"]["key"]))
    assert whole["changed"] == {"note": {"old": LARGE, "new": LARGE.upper()}}
    assert whole["resource"] == {"resourceType": "Patient", "id": "large"}


def test_what_is_no_record_lies_whole_in_quarantine_and_its_neighbours_arrive(hub: Hub) -> None:
    poison = item("poison", "UNICORN", "Unicorn", horn={"N": "1"})
    hub.put(patient("before"))
    hub.put(poison)
    hub.put({"id": text("poison"), "sk": text("#internal"), "secret": text("not read")})
    hub.put(patient("after"))
    hub.event("PatientInsert", "before")
    hub.event("PatientInsert", "after")
    (kept,) = eventually(hub.quarantined)
    assert kept["reason"] == "ITEM_TYPE_NOT_DECLARED"
    assert kept["record"]["dynamodb"]["NewImage"] == poison
    dead = hub.client("sqs").receive_message(QueueUrl=hub.names["RecordsPipeDeadLetterQueue"])
    assert dead.get("Messages", []) == []
