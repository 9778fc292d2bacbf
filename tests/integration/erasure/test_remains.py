"""What an erasure says that it does not reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest

from local.erasure.erasure import Ground
from local.erasure.healthlake_patient import InHealthLake
from local.erasure.remains import other_items, remains
from local.erasure.stack_buckets import StackResource
from local.testing.mocked_hub import BUS, DATASTORE_ID, REGION, TABLE


@pytest.fixture
def ground(hub: Any) -> Ground:
    """A stack with a bus and a queue that nobody has sent anything to."""
    assert hub
    queue = boto3.client("sqs", REGION).get_queue_url(QueueName="start")["QueueUrl"]
    resources = (
        StackResource("HubEventBus", "AWS::Events::EventBus", BUS),
        StackResource("StartExportQueue", "AWS::SQS::Queue", queue),
        StackResource("OwnRule", "AWS::Events::Rule", f"{BUS}|own"),
    )

    def client(service: Any) -> Any:
        return boto3.client(service, REGION)

    return Ground(client, TABLE, DATASTORE_ID, "machine", resources)


def told(ground: Ground) -> dict[str, tuple[str, str]]:
    return {one.what: (one.holds, one.until) for one in remains(ground, InHealthLake.ABSENT)}


def test_where_nothing_waits_and_nobody_listens_it_says_so(ground: Ground) -> None:
    found = told(ground)

    assert found["queues of the stack"][0] == "no messages now"
    assert found["consumers of the bus"][0] == "there are no rules of yours"
    assert found["archives of the bus"][0] == "there are none"
    assert {"HealthLake", "the entry in the table", "backups and replicas of the buckets"} <= set(found)


def test_messages_consumers_and_archives_are_named_with_what_ends_them(ground: Ground) -> None:
    queue = ground.resources[1].name
    boto3.client("sqs", REGION).send_message(QueueUrl=queue, MessageBody="{}")
    events: Any = boto3.client("events", REGION)
    for rule in ("own", "theirs"):
        events.put_rule(Name=rule, EventBusName=BUS, EventPattern='{"source": ["healthlake-hub"]}')
    bus = events.describe_event_bus(Name=BUS)["Arn"]
    events.create_archive(ArchiveName="kept", EventSourceArn=bus, RetentionDays=10)

    found = told(ground)

    assert found["queue StartExportQueue"][1] == "4 days after each was sent"
    assert found["consumers behind rule theirs"][1] == "you erase it there"
    assert "consumers behind rule own" not in found
    assert found["archive kept"][1] == "10 days after each event"


def test_dead_letters_are_named_with_what_may_bring_them_back(ground: Ground) -> None:
    queue = ground.resources[1].name
    boto3.client("sqs", REGION).send_message(QueueUrl=queue, MessageBody="{}")
    dead = StackResource("StartExportDeadLetterQueue", "AWS::SQS::Queue", queue)

    holds, until = told(replace(ground, resources=(dead,)))["dead-letter queue StartExportDeadLetterQueue"]

    assert holds.startswith("1 messages")
    assert until.startswith("4 days after each was sent; what is redriven before that comes back")


def test_what_cannot_be_asked_is_said_to_be_unknown(ground: Ground) -> None:
    boto3.client("sqs", REGION).delete_queue(QueueUrl=ground.resources[1].name)
    assert told(ground)["queues"][0].startswith("not known: ")


def test_items_of_the_table_that_name_the_patient_are_counted(ground: Ground) -> None:
    table: Any = ground.client("dynamodb")
    for key, text in (("RUN#1", "Patient/p-1 failed"), ("RUN#2", "Patient/p-12 failed")):
        table.put_item(TableName=TABLE, Item={"pk": {"S": key}, "sk": {"S": "RUN"}, "cause": {"S": text}})
    entry = {"pk": {"S": f"ERASED#{DATASTORE_ID}"}, "sk": {"S": "PATIENT#p-1"}, "startedBy": {"S": "p-1"}}
    table.put_item(TableName=TABLE, Item=entry)

    assert other_items(table, TABLE, DATASTORE_ID, "p-1") == (3, 1)
