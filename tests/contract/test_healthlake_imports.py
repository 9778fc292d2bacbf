"""Import jobs. AWS HealthLake Developer Guide: "Importing FHIR data with AWS HealthLake"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import ROLE_ARN

if TYPE_CHECKING:
    from mypy_boto3_healthlake import HealthLakeClient


@pytest.fixture
def server() -> Iterator[HealthLakeServer]:
    with HealthLakeServer() as server:
        yield server


@pytest.fixture
def api(server: HealthLakeServer) -> HealthLakeClient:
    return boto3.client(
        "healthlake",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="example-secret",
    )


def run(api: HealthLakeClient, server: HealthLakeServer, datastore_id: str) -> Any:
    started = api.start_fhir_import_job(
        DatastoreId=datastore_id,
        InputDataConfig={"S3Uri": "s3://source/in/"},
        JobOutputDataConfig={"S3Configuration": {"S3Uri": "s3://logs/out", "KmsKeyId": "alias/hub"}},
        DataAccessRoleArn=ROLE_ARN,
        JobName="load",
    )
    server.service.imports.wait_for(started["JobId"])
    return api.describe_fhir_import_job(DatastoreId=datastore_id, JobId=started["JobId"])[
        "ImportJobProperties"
    ]


def test_every_ndjson_file_under_the_prefix_is_imported(
    api: HealthLakeClient, server: HealthLakeServer
) -> None:
    datastore = server.create_datastore()
    server.objects.put(
        "source", "in/a.ndjson", b'{"resourceType":"Patient","id":"p1","x":1.10}\n\n', ROLE_ARN
    )
    server.objects.put("source", "in/deep/b.ndjson", b'{"resourceType":"Location","id":"l1"}', ROLE_ARN)
    server.objects.put("source", "in/readme.txt", b"not this", ROLE_ARN)
    server.objects.put("source", "elsewhere/c.ndjson", b'{"resourceType":"Patient","id":"p9"}', ROLE_ARN)
    job = run(api, server, datastore.datastore_id)
    assert job["JobStatus"] == "COMPLETED"
    assert job["JobProgressReport"]["TotalNumberOfScannedFiles"] == 2
    assert job["JobProgressReport"]["TotalNumberOfResourcesImported"] == 2
    fhir = server.client(datastore)
    assert b'"x":1.10' in fhir.send("GET", "Patient/p1").body
    assert fhir.send("GET", "Patient/p1").document["meta"]["versionId"] == "1"
    assert fhir.send("GET", "Patient/p9").status == 404
    assert api.list_fhir_import_jobs(DatastoreId=datastore.datastore_id)["ImportJobPropertiesList"][0] == job


def test_lines_that_are_refused_are_logged_with_file_line_and_reason(
    api: HealthLakeClient, server: HealthLakeServer
) -> None:
    datastore = server.create_datastore()
    lines = b'{"resourceType":"Patient","id":"p1"}\n{broken\n{"resourceType":"Patient"}\n'
    server.objects.put("source", "in/a.ndjson", lines, ROLE_ARN)
    job = run(api, server, datastore.datastore_id)
    assert job["JobStatus"] == "COMPLETED_WITH_ERRORS"
    assert job["JobProgressReport"]["TotalNumberOfResourcesWithCustomerError"] == 2
    key = f"out/{datastore.datastore_id}-FHIR_IMPORT-{job['JobId']}/FAILURE/failures.ndjson"
    log = [json.loads(line) for line in server.objects.objects["logs", key].splitlines()]
    assert [(entry["inputFile"], entry["lineNumber"]) for entry in log] == [
        ("in/a.ndjson", 2),
        ("in/a.ndjson", 3),
    ]
    assert log[1]["exception"] == "The resource has no id."


def test_an_import_announces_its_states(api: HealthLakeClient, server: HealthLakeServer) -> None:
    datastore = server.create_datastore()
    run(api, server, datastore.datastore_id)
    server.service.close()
    types = [event["detail-type"] for event in server.events if event["detail-type"].startswith("Import")]
    assert types == ["Import Job Submitted", "Import Job In Progress", "Import Job Completed"]


def test_an_unreadable_source_fails_the_job(api: HealthLakeClient, server: HealthLakeServer) -> None:
    def refuse(bucket: str, prefix: str, role_arn: str) -> list[str]:
        raise PermissionError(bucket)

    server.objects.list_keys = refuse  # type: ignore[method-assign]
    job = run(api, server, server.create_datastore().datastore_id)
    assert (job["JobStatus"], job["Message"]) == ("FAILED", "The import failed (PermissionError).")
