"""Faults on request, for every job state of the AWS HealthLake API Reference, "ExportJobProperties"."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.healthlake.faults import FailedResource
from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import FhirClient
from local.testing.patience import PATIENCE_SECONDS


@pytest.fixture
def server() -> Iterator[HealthLakeServer]:
    with HealthLakeServer(pace=None) as server:
        yield server


@pytest.fixture
def fhir(server: HealthLakeServer) -> FhirClient:
    return server.client()


def run(server: HealthLakeServer, fhir: FhirClient) -> dict[str, Any]:
    job_id = fhir.start_export().document["jobId"]
    while server.step():
        pass
    document: dict[str, Any] = fhir.send("GET", f"export/{job_id}").document
    return document


def ask(server: HealthLakeServer, **order: Any) -> Any:
    """POST to the admin API, unsigned."""
    request = urllib.request.Request(  # a URL of this test's own server
        f"{server.url}/_local/healthlake/faults", json.dumps(order).encode(), method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def export_jobs(server: HealthLakeServer) -> list[Any]:
    [datastore] = server.service.catalog.datastores()
    return list(server.service.exports.jobs(datastore.datastore_id))


def test_a_job_can_be_made_to_fail_and_the_next_one_succeeds(
    server: HealthLakeServer, fhir: FhirClient
) -> None:
    fhir.put("Patient", "p1")
    server.faults.fail_next_job("Out of luck.")
    failed = run(server, fhir)
    assert failed["exportJobProperties"]["jobStatus"] == "FAILED"
    assert failed["exportJobProperties"]["message"] == "Out of luck."
    assert failed["output"] == []
    assert run(server, fhir)["exportJobProperties"]["jobStatus"] == "COMPLETED"


def test_resources_that_cannot_be_exported_are_in_an_error_file(
    server: HealthLakeServer, fhir: FhirClient
) -> None:
    fhir.put("Patient", "p1")
    fhir.put("Patient", "p2")
    server.faults.errors_in_next_job(FailedResource("Patient", "p1", "Too large."))
    document = run(server, fhir)
    assert document["exportJobProperties"]["jobStatus"] == "COMPLETED_WITH_ERRORS"
    [error] = document["error"]
    assert error["type"] == "OperationOutcome"
    folder = document["exportJobProperties"]["outputDataConfig"]["s3Configuration"]["s3Uri"]
    assert error["url"].startswith(folder)
    bodies = {f"s3://{bucket}/{key}": body for (bucket, key), body in server.objects.objects.items()}
    outcome = json.loads(bodies[error["url"]])
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["diagnostics"] == "Too large."
    assert outcome["issue"][0]["expression"] == ["Patient/p1"]
    [output] = document["output"]
    assert [json.loads(line)["id"] for line in bodies[output["url"]].splitlines()] == ["p2"]
    assert set(bodies) == {error["url"], output["url"]}


def test_throttled_calls_answer_429_and_then_work(server: HealthLakeServer, fhir: FhirClient) -> None:
    server.faults.throttle(2)
    answers = [fhir.start_export() for _ in range(3)]
    assert [answer.status for answer in answers] == [429, 429, 202]
    assert answers[0].headers["x-amzn-errortype"] == "ThrottlingException"


def test_throttling_can_be_limited_to_one_action(server: HealthLakeServer, fhir: FhirClient) -> None:
    server.faults.throttle(1, "DescribeFHIRExportJobWithGet")
    job_id = fhir.start_export().document["jobId"]
    assert fhir.send("GET", f"export/{job_id}").status == 429
    assert fhir.send("GET", f"export/{job_id}").status == 202


def test_any_error_can_be_asked_for(server: HealthLakeServer, fhir: FhirClient) -> None:
    server.faults.refuse(1, 409, "ConflictException", "StartFHIRExportJobWithPost")
    server.faults.refuse(1, 500, "InternalServerException")
    answers = [fhir.start_export() for _ in range(3)]
    assert [answer.status for answer in answers] == [409, 500, 202]


def test_the_json_api_throttles_under_its_error_name(server: HealthLakeServer) -> None:
    client = boto3.client(
        "healthlake",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="example-secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    server.faults.throttle(1)
    with pytest.raises(client.exceptions.ThrottlingException):
        client.list_fhir_datastores()
    server.faults.clear()
    server.faults.refuse(1, 403, "AccessDeniedException")
    with pytest.raises(ClientError) as refused:
        client.list_fhir_datastores()
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_any_answer_can_be_asked_for_in_place_of_the_real_one(
    server: HealthLakeServer, fhir: FhirClient
) -> None:
    server.faults.answer(1, 200, "<html>", "StartFHIRExportJobWithPost")
    answer = fhir.start_export()
    assert (answer.status, answer.body) == (200, b"<html>")
    assert export_jobs(server) == []
    assert fhir.start_export().status == 202


def test_a_call_can_do_its_work_while_its_answer_is_lost(server: HealthLakeServer, fhir: FhirClient) -> None:
    server.faults.answer(1, 504, "", performed=True)
    assert fhir.start_export().status == 504
    assert len(export_jobs(server)) == 1


def test_events_can_be_lost(server: HealthLakeServer, fhir: FhirClient) -> None:
    server.events.clear()
    server.faults.drop_events(1, "Export Job Completed")
    run(server, fhir)
    assert [event["detail-type"] for event in server.events] == [
        "Export Job Submitted",
        "Export Job In Progress",
    ]
    run(server, fhir)
    assert server.events[-1]["detail-type"] == "Export Job Completed"


@pytest.mark.parametrize("status", ["SUBMITTED", "IN_PROGRESS"])
def test_a_job_can_be_held_in_a_state(server: HealthLakeServer, fhir: FhirClient, status: str) -> None:
    server.faults.hold_next_job(status)
    document = run(server, fhir)
    job_id = document["exportJobProperties"]["jobId"]
    assert document["exportJobProperties"]["jobStatus"] == status
    server.service.exports.release(job_id)
    while server.step():
        pass
    assert fhir.send("GET", f"export/{job_id}").status == 200


def test_a_held_job_can_be_cancelled(server: HealthLakeServer, fhir: FhirClient) -> None:
    server.faults.hold_next_job("IN_PROGRESS")
    job_id = run(server, fhir)["exportJobProperties"]["jobId"]
    fhir.send("DELETE", f"export/{job_id}")
    while server.step():
        pass
    document = fhir.send("GET", f"export/{job_id}").document
    assert document["exportJobProperties"]["jobStatus"] == "CANCEL_COMPLETED"


def test_a_cancellation_can_fail(server: HealthLakeServer, fhir: FhirClient) -> None:
    server.faults.fail_next_cancel()
    job_id = fhir.start_export().document["jobId"]
    fhir.send("DELETE", f"export/{job_id}")
    while server.step():
        pass
    document = fhir.send("GET", f"export/{job_id}").document
    assert document["exportJobProperties"]["jobStatus"] == "CANCEL_FAILED"


def test_a_job_whose_cancellation_failed_has_ended_and_the_next_begins(
    server: HealthLakeServer, fhir: FhirClient
) -> None:
    server.faults.fail_next_cancel()
    job_id = fhir.start_export().document["jobId"]
    fhir.send("DELETE", f"export/{job_id}")
    queued = fhir.start_export().document["jobId"]
    while server.step():
        pass
    assert fhir.send("DELETE", f"export/{job_id}").status == 400
    document = fhir.send("GET", f"export/{queued}").document
    assert document["exportJobProperties"]["jobStatus"] == "COMPLETED"


def test_a_slow_job_takes_its_time() -> None:
    with HealthLakeServer() as server:
        fhir = server.client()
        server.faults.slow_next_job(30)
        job_id = fhir.start_export().document["jobId"]
        server.service.exports.wait_for(job_id, "IN_PROGRESS", timeout=PATIENCE_SECONDS)
        with pytest.raises(TimeoutError):
            server.service.exports.wait_for(job_id, "COMPLETED", timeout=0.2)


def test_the_admin_api_asks_for_the_same_faults(server: HealthLakeServer, fhir: FhirClient) -> None:
    ask(server, fault="fail-next-job", message="No.")
    ask(server, fault="throttle", calls=1, action="CreateResource")
    ask(server, fault="drop-events", count=1)
    assert run(server, fhir)["exportJobProperties"]["message"] == "No."
    assert fhir.send("POST", "Patient", {"resourceType": "Patient"}).status == 429
    ask(server, fault="errors-in-next-job", resources=[{"resourceType": "Patient", "id": "p1"}])
    assert run(server, fhir)["exportJobProperties"]["jobStatus"] == "COMPLETED_WITH_ERRORS"
    ask(server, fault="hold-next-job", status="SUBMITTED")
    held = run(server, fhir)["exportJobProperties"]
    ask(server, fault="release", jobId=held["jobId"])
    ask(server, fault="slow-next-job", seconds=3)
    ask(server, fault="fail-next-cancel")
    ask(server, fault="answer", calls=1, status=200, body="<html>", action="ReadResource", performed=True)
    waiting = ask(server, fault="refuse", calls=1, status=500, name="InternalServerException")
    assert waiting["next_job"]["slow_seconds"] == 3
    assert waiting["next_job"]["cancel_fails"] is True
    assert len(waiting["refusals"]) == 1
    assert waiting["stand_ins"][0]["performed"] is True


def test_a_fault_that_is_not_known_is_refused_with_the_known_names(server: HealthLakeServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(server, fault="earthquake")
    assert refused.value.code == 400
    assert b"throttle" in refused.value.read()


def test_faults_that_wait_are_shown_and_forgotten(server: HealthLakeServer) -> None:
    ask(server, fault="fail-next-job")
    url = f"{server.url}/_local/healthlake/faults"
    with urllib.request.urlopen(url) as answer:
        assert json.load(answer)["next_job"]["fail_message"] == "The export job failed."
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE")) as answer:
        assert json.load(answer)["next_job"]["fail_message"] is None


def test_the_overview_shows_datastores_counts_and_jobs(server: HealthLakeServer, fhir: FhirClient) -> None:
    fhir.put("Patient", "p1")
    fhir.put("Location", "l1")
    run(server, fhir)
    with urllib.request.urlopen(f"{server.url}/_local/healthlake") as answer:
        [datastore] = json.load(answer)["datastores"]
    assert datastore["resources"] == {"Location": 1, "Patient": 1}
    assert [(job["jobStatus"], job["files"]) for job in datastore["exportJobs"]] == [("COMPLETED", 2)]
