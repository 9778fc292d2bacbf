"""Bulk export.

AWS HealthLake Developer Guide: "Exporting HealthLake data with FHIR $export", "Exporting FHIR data".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from local.healthlake.clock import ManualClock
from local.healthlake.store import StoredResource
from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import ROLE_ARN, FhirClient
from local.testing.patience import PATIENCE_SECONDS

START = datetime(2026, 8, 26, 13, 46, 56, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def server(clock: ManualClock) -> Iterator[HealthLakeServer]:
    with HealthLakeServer(clock=clock, pace=None) as server:
        yield server


@pytest.fixture
def fhir(server: HealthLakeServer) -> FhirClient:
    return server.client()


def start(fhir: FhirClient, query: str = "", scope: str = "") -> str:
    answer = fhir.start_export(query, scope)
    assert answer.status == 202, answer.body
    job_id: str = answer.document["jobId"]
    return job_id


def finish(server: HealthLakeServer) -> None:
    while server.step():
        pass


def status_of(fhir: FhirClient, job_id: str) -> str:
    status: str = fhir.send("GET", f"export/{job_id}").document["exportJobProperties"]["jobStatus"]
    return status


def exported(server: HealthLakeServer, fhir: FhirClient, job_id: str) -> list[str]:
    """Type/id of every exported line, read from the files that the manifest names."""
    lines = []
    for file in fhir.send("GET", f"export/{job_id}").document["output"]:
        bucket, _, key = file["url"].removeprefix("s3://").partition("/")
        for line in server.objects.objects[bucket, key].splitlines():
            resource = json.loads(line)
            assert resource["resourceType"] == file["type"]
            lines.append(f"{resource['resourceType']}/{resource['id']}")
    return sorted(lines)


def run(server: HealthLakeServer, fhir: FhirClient, query: str = "", scope: str = "") -> list[str]:
    job_id = start(fhir, query, scope)
    finish(server)
    assert status_of(fhir, job_id) == "COMPLETED"
    return exported(server, fhir, job_id)


def test_the_start_is_accepted_with_the_place_of_its_status(fhir: FhirClient) -> None:
    answer = fhir.start_export()
    assert answer.status == 202
    assert set(answer.document) == {"datastoreId", "jobStatus", "jobId"}
    assert answer.document["jobStatus"] == "SUBMITTED"
    assert answer.headers["content-location"] == f"{fhir.endpoint}export/{answer.document['jobId']}"
    assert fhir.send("GET", answer.headers["content-location"]).status == 202


def test_a_job_passes_through_its_states(server: HealthLakeServer, fhir: FhirClient) -> None:
    job_id = start(fhir)
    seen = [status_of(fhir, job_id)]
    while moved := server.step():
        seen.append(moved[0][1])
    assert seen == ["SUBMITTED", "IN_PROGRESS", "COMPLETED"]


def test_a_finished_job_is_described_as_healthlake_does(
    server: HealthLakeServer, fhir: FhirClient, clock: ManualClock
) -> None:
    fhir.put("Patient", "p1")
    query = "_type=Patient&_since=2026-01-01T00:00:00.461Z&_outputFormat=application/fhir%2Bndjson"
    job_id = start(fhir, query)
    server.step()
    clock.advance(timedelta(seconds=89))
    server.step()
    clock.advance(timedelta(hours=3))
    answer = fhir.send("GET", f"export/{job_id}")
    datastore_id = fhir.endpoint.split("/")[4]
    folder = f"s3://hub-bucket/exports/run/{datastore_id}-FHIR_EXPORT-{job_id}/"
    assert answer.status == 200
    document = answer.document
    assert document["exportJobProperties"] == {
        "jobId": job_id,
        "jobName": "run",
        "jobStatus": "COMPLETED",
        "submitTime": "Aug 26, 2026 1:46:56 PM",
        "endTime": "Aug 26, 2026 1:48:25 PM",
        "datastoreId": datastore_id,
        "outputDataConfig": {"s3Configuration": {"s3Uri": folder, "kmsKeyId": "alias/hub"}},
        "dataAccessRoleArn": ROLE_ARN,
    }
    # The time of this status request, hours after the job's end.
    assert document["transactionTime"] == "2026-08-26T16:48:25.000Z"
    assert document["request"] == f"{fhir.endpoint}$export?{query}"
    assert document["requiresAccessToken"] is False
    assert document["error"] == []
    [file] = document["output"]
    assert file["type"] == "Patient"
    assert file["url"].startswith(f"{folder}Patient/Patient-")
    assert file["url"].endswith("-0.ndjson")


def test_files_are_written_as_the_data_access_role(server: HealthLakeServer, fhir: FhirClient) -> None:
    fhir.put("Patient", "p1")
    run(server, fhir)
    assert set(server.objects.roles.values()) == {ROLE_ARN}


def test_nothing_to_export_completes_without_files(server: HealthLakeServer, fhir: FhirClient) -> None:
    assert run(server, fhir) == []
    assert server.objects.objects == {}


def test_types_choose_what_is_exported(server: HealthLakeServer, fhir: FhirClient) -> None:
    for resource_type in ("Patient", "Group", "Location"):
        fhir.put(resource_type, "x")
    assert run(server, fhir) == ["Group/x", "Location/x", "Patient/x"]
    assert run(server, fhir, "_type=Patient,Group") == ["Group/x", "Patient/x"]


def test_since_is_on_or_after_and_until_on_or_before(
    server: HealthLakeServer, fhir: FhirClient, clock: ManualClock
) -> None:
    for number in range(4):
        clock.set(START + timedelta(seconds=number))
        fhir.put("Patient", f"p{number}")
    assert run(server, fhir, "_since=2026-08-26T13:46:58Z") == ["Patient/p2", "Patient/p3"]
    assert run(server, fhir, "_since=2026-08-26T13:46:58.001Z") == ["Patient/p3"]
    assert run(server, fhir, "_until=2026-08-26T13:46:57Z") == ["Patient/p0", "Patient/p1"]
    both = "_since=2026-08-26T13:46:57Z&_until=2026-08-26T13:46:58Z"
    assert run(server, fhir, both) == ["Patient/p1", "Patient/p2"]
    assert run(server, fhir, f"_since={quote('2026-08-26T15:46:58+02:00')}") == ["Patient/p2", "Patient/p3"]


def test_resources_without_a_time_are_in_for_since_and_out_for_until(
    server: HealthLakeServer, fhir: FhirClient
) -> None:
    datastore_id = fhir.endpoint.split("/")[4]
    with server.service.catalog.store(datastore_id).writing() as writer:
        text = b'{"resourceType":"Patient","id":"old"}'
        writer.save(StoredResource("Patient", "old", 1, None, False, text))
    assert run(server, fhir, "_since=2026-08-26T13:46:58Z") == ["Patient/old"]
    assert run(server, fhir, "_until=2026-08-26T13:46:58Z") == []


def test_an_export_holds_what_was_current_when_it_became_in_progress(
    server: HealthLakeServer, fhir: FhirClient
) -> None:
    fhir.put("Patient", "p1", order=1)
    job_id = start(fhir)
    fhir.put("Patient", "p1", order=2)
    server.step()
    assert status_of(fhir, job_id) == "IN_PROGRESS"
    fhir.put("Patient", "p1", order=3)
    fhir.put("Patient", "p2")
    fhir.send("DELETE", "Patient/p1")
    server.step()
    [body] = server.objects.objects.values()
    [line] = body.splitlines()
    assert (json.loads(line)["order"], json.loads(line)["meta"]["versionId"]) == (2, "2")


def test_deleted_resources_are_not_exported(server: HealthLakeServer, fhir: FhirClient) -> None:
    fhir.put("Patient", "p1")
    fhir.send("DELETE", "Patient/p1")
    assert run(server, fhir) == []


def test_lines_are_the_stored_text(server: HealthLakeServer, fhir: FhirClient) -> None:
    fhir.send("PUT", "Patient/p1", b'{"resourceType":"Patient","id":"p1","x":1.10,"y":18446744073709551617}')
    run(server, fhir)
    [body] = server.objects.objects.values()
    assert body == fhir.send("GET", "Patient/p1").body + b"\n"


def test_large_types_are_cut_into_files(clock: ManualClock) -> None:
    with HealthLakeServer(clock=clock, pace=None, file_size=400) as server:
        fhir = server.client()
        for number in range(10):
            fhir.put("Patient", f"p{number}")
        fhir.put("Patient", "p99", text="x" * 1000)
        assert len(run(server, fhir)) == 11
        sizes = [len(body) for body in server.objects.objects.values()]
        assert len(sizes) > 3
        assert [size for size in sizes if size > 400] == [max(sizes)]


def test_a_patient_export_holds_the_compartments_of_patients(
    server: HealthLakeServer, fhir: FhirClient
) -> None:
    fhir.put("Patient", "p1")
    fhir.put("Observation", "o1", subject={"reference": "Patient/p1"})
    fhir.put("Observation", "unrelated", subject={"reference": "Location/l1"})
    fhir.put("Location", "l1")
    assert run(server, fhir, scope="Patient/") == ["Observation/o1", "Patient/p1"]


def test_a_group_export_holds_the_compartments_of_its_members(
    server: HealthLakeServer, fhir: FhirClient
) -> None:
    for patient in ("p1", "p2"):
        fhir.put("Patient", patient)
        fhir.put("Observation", f"of-{patient}", subject={"reference": f"Patient/{patient}"})
    fhir.put("Group", "g1", member=[{"entity": {"reference": "Patient/p1"}}])
    assert run(server, fhir, "_type=Patient,Observation", "Group/g1/") == ["Observation/of-p1", "Patient/p1"]
    assert fhir.start_export(scope="Group/unknown/").status == 404


def test_jobs_run_one_at_a_time_in_order(server: HealthLakeServer, fhir: FhirClient) -> None:
    jobs = [start(fhir) for _ in range(3)]
    server.step()
    assert [status_of(fhir, job) for job in jobs] == ["IN_PROGRESS", "QUEUED", "QUEUED"]
    server.step()
    assert [status_of(fhir, job) for job in jobs] == ["COMPLETED", "IN_PROGRESS", "QUEUED"]
    finish(server)
    assert [status_of(fhir, job) for job in jobs] == ["COMPLETED"] * 3


def test_datastores_do_not_wait_for_each_other(server: HealthLakeServer, fhir: FhirClient) -> None:
    other = server.client()
    jobs = [(fhir, start(fhir)), (other, start(other))]
    server.step()
    assert [status_of(client, job) for client, job in jobs] == ["IN_PROGRESS", "IN_PROGRESS"]


@pytest.mark.parametrize("steps", [0, 1])
def test_a_cancelled_job_ends_cancelled_and_lets_the_next_one_run(
    server: HealthLakeServer, fhir: FhirClient, steps: int
) -> None:
    fhir.put("Patient", "p1")
    first, second = start(fhir), start(fhir)
    for _ in range(steps):
        server.step()
    answer = fhir.send("DELETE", f"export/{first}")
    assert answer.status == 202
    assert answer.document["exportJobProperties"]["jobStatus"] == "CANCEL_SUBMITTED"
    assert fhir.send("DELETE", f"export/{first}").status == 202
    server.step()
    assert status_of(fhir, first) == "CANCEL_IN_PROGRESS"
    assert status_of(fhir, second) == "QUEUED"
    server.step()
    finished = fhir.send("GET", f"export/{first}")
    assert finished.status == 200
    assert finished.document["exportJobProperties"]["jobStatus"] == "CANCEL_COMPLETED"
    assert finished.document["output"] == []
    finish(server)
    assert status_of(fhir, second) == "COMPLETED"


def test_cancelling_again_does_not_begin_anew(server: HealthLakeServer, fhir: FhirClient) -> None:
    job_id = start(fhir)
    fhir.send("DELETE", f"export/{job_id}")
    server.step()
    again = fhir.send("DELETE", f"export/{job_id}")
    assert again.document["exportJobProperties"]["jobStatus"] == "CANCEL_IN_PROGRESS"


def test_an_ended_job_cannot_be_cancelled(server: HealthLakeServer, fhir: FhirClient) -> None:
    job_id = start(fhir)
    finish(server)
    assert fhir.send("DELETE", f"export/{job_id}").status == 400
    assert status_of(fhir, job_id) == "COMPLETED"


def test_an_unknown_job_is_not_found(fhir: FhirClient) -> None:
    assert fhir.send("GET", f"export/{'0' * 32}").status == 404
    assert fhir.send("DELETE", f"export/{'0' * 32}").status == 404


def test_another_datastores_job_is_not_found(server: HealthLakeServer, fhir: FhirClient) -> None:
    job_id = start(server.client())
    assert fhir.send("GET", f"export/{job_id}").status == 404


def test_a_start_without_prefer_is_refused(fhir: FhirClient) -> None:
    refused = fhir.send("POST", "$export", {})
    assert refused.status == 400
    assert "respond-async" in refused.reason


@pytest.mark.parametrize(
    ("query", "changes", "reason"),
    [
        ("_since=2026-08-26", {}, "_since"),
        ("_since=2026-08-26T10:00:00", {}, "_since"),
        ("_until=2026-13-26T10:00:00Z", {}, "_until"),
        ("_type=Patientt", {}, "_type"),
        ("_outputFormat=text/csv", {}, "_outputFormat"),
        ("_elements=id", {}, "_elements"),
        ("", {"DataAccessRoleArn": "admin"}, "DataAccessRoleArn"),
        ("", {"DataAccessRoleArn": None}, "DataAccessRoleArn"),
        ("", {"OutputDataConfig": None}, "OutputDataConfig"),
        ("", {"OutputDataConfig": {"S3Configuration": {"S3Uri": "s3://hub-bucket/"}}}, "KmsKeyId"),
        ("", {"OutputDataConfig": {"S3Configuration": {"S3Uri": "hub", "KmsKeyId": "k"}}}, "S3Uri"),
        ("", {"JobName": "x" * 65}, "JobName"),
    ],
)
def test_a_start_that_is_not_understood_is_refused(
    server: HealthLakeServer, fhir: FhirClient, query: str, changes: dict[str, Any], reason: str
) -> None:
    refused = fhir.start_export(query, **changes)
    assert refused.status == 400
    assert reason in refused.reason
    assert server.step() == []


def test_what_s3_refuses_fails_the_job_with_the_reason() -> None:
    def refuse(bucket: str, key: str, body: bytes, role_arn: str) -> None:
        raise PermissionError(bucket)

    with HealthLakeServer(pace=None, put_object=refuse) as server:
        fhir = server.client()
        fhir.put("Patient", "p1")
        job_id = start(fhir)
        finish(server)
        properties = fhir.send("GET", f"export/{job_id}").document["exportJobProperties"]
        assert properties["jobStatus"] == "FAILED"
        assert properties["message"] == "The output could not be written to Amazon S3 (PermissionError)."


def test_with_a_pace_jobs_move_by_themselves() -> None:
    with HealthLakeServer() as server:
        fhir = server.client()
        fhir.put("Patient", "p1")
        jobs = [start(fhir) for _ in range(5)]
        server.service.exports.wait_for(jobs[-1], "COMPLETED", timeout=PATIENCE_SECONDS)
        assert [status_of(fhir, job) for job in jobs] == ["COMPLETED"] * 5


def test_a_job_cancelled_while_it_writes_ends_cancelled() -> None:
    """The cancellation arrives between two files of a running job."""
    written: list[str] = []
    cancel: list[Callable[[], object]] = []

    def cancel_after_first(bucket: str, key: str, body: bytes, role_arn: str) -> None:
        written.append(key)
        cancel[0]()

    with HealthLakeServer(put_object=cancel_after_first) as running:
        client = running.client()
        client.put("Patient", "p1")
        client.put("Location", "l1")
        running.faults.hold_next_job("SUBMITTED")
        job_id = start(client)
        cancel.append(lambda: client.send("DELETE", f"export/{job_id}"))
        running.service.exports.release()
        running.service.exports.wait_for(job_id, "CANCEL_COMPLETED", timeout=PATIENCE_SECONDS)
        assert len(written) == 1
