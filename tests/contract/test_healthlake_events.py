"""Events of jobs and datastores.

AWS HealthLake Developer Guide: "Monitoring HealthLake events using Amazon EventBridge"; Amazon EventBridge
events reference: "AWS HealthLake events".
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from local.healthlake.clock import ManualClock
from local.healthlake.faults import FailedResource
from local.healthlake.job_events import Event
from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import FhirClient
from local.testing.patience import PATIENCE_SECONDS

START = datetime(2023, 12, 8, 1, 50, 50, 986000, tzinfo=UTC)


def run(server: HealthLakeServer, fhir: FhirClient) -> list[str]:
    """Detail types of a job's events."""
    server.events.clear()
    fhir.start_export()
    while server.step():
        pass
    return [event["detail-type"] for event in server.events]


def test_an_event_has_the_documented_form() -> None:
    with HealthLakeServer(clock=ManualClock(START), pace=None) as server:
        datastore = server.create_datastore()
        server.events.clear()
        job_id = server.client(datastore).start_export().document["jobId"]
        [event] = server.events
        assert len(event.pop("id")) == 36
        assert event == {
            "version": "0",
            "detail-type": "Export Job Submitted",
            "source": "aws.healthlake",
            "account": "000000000000",
            "time": "2023-12-08T01:50:50Z",
            "region": "us-east-1",
            "resources": [datastore.arn],
            "detail": {
                "jobId": job_id,
                "submitTime": "2023-12-08T01:50:50.986Z",
                "datastoreId": datastore.datastore_id,
                "outputDataConfig": {"s3Uri": "s3://hub-bucket/exports/run"},
            },
        }


def test_each_outcome_has_its_events() -> None:
    with HealthLakeServer(pace=None) as server:
        fhir = server.client()
        begun = ["Export Job Submitted", "Export Job In Progress"]
        assert run(server, fhir) == [*begun, "Export Job Completed"]
        server.faults.fail_next_job()
        assert run(server, fhir) == [*begun, "Export Job Failed"]
        server.faults.errors_in_next_job(FailedResource("Patient", "p1"))
        assert run(server, fhir) == [*begun, "Export Job Completed With Errors"]


def test_a_waiting_job_says_that_it_is_queued() -> None:
    with HealthLakeServer(pace=None) as server:
        fhir = server.client()
        fhir.start_export()
        assert "Export Job Queued" in run(server, fhir)


def test_a_cancellation_sends_no_event() -> None:
    with HealthLakeServer(pace=None) as server:
        fhir = server.client()
        job_id = fhir.start_export().document["jobId"]
        server.events.clear()
        fhir.send("DELETE", f"export/{job_id}")
        while server.step():
            pass
        assert server.events == []


def test_a_datastore_announces_its_life() -> None:
    with HealthLakeServer(pace=None) as server:
        datastore = server.create_datastore("records")
        server.service.datastores.delete(datastore.datastore_id)
        types = [event["detail-type"] for event in server.events]
        assert types == [
            "Data Store Creating",
            "Data Store Active",
            "Data Store Deleting",
            "Data Store Deleted",
        ]
        assert server.events[0]["detail"] == {
            "datastoreId": datastore.datastore_id,
            "datastoreName": "records",
            "datastoreTypeVersion": "R4",
            "datastoreEndpoint": datastore.endpoint,
        }


def test_a_subscriber_that_fails_once_gets_the_event_again() -> None:
    received: list[Event] = []

    def fail_first(event: Event) -> None:
        received.append(event)
        if len(received) == 1:
            raise ConnectionError

    with HealthLakeServer(pace=None, on_event=fail_first) as server:
        server.create_datastore()
    assert [event["detail-type"] for event in received] == [
        "Data Store Creating",
        "Data Store Creating",
        "Data Store Active",
    ]


def test_a_subscriber_may_ask_for_the_job_while_it_is_told() -> None:
    """Handlers describe the job when its event arrives, so nothing may be locked meanwhile."""
    told, asked = 3, threading.Semaphore(0)

    def describe(event: Event) -> None:
        if "jobId" in event["detail"]:
            assert fhir.send("GET", f"export/{event['detail']['jobId']}").status in (200, 202)
            asked.release()

    with HealthLakeServer(on_event=describe) as server:
        fhir = server.client()
        fhir.start_export()
        for _ in range(told):
            assert asked.acquire(timeout=PATIENCE_SECONDS)
