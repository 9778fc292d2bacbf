"""HealthLake as real HTTP while moto mocks the other services in the same process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from moto import mock_aws

from local.healthlake.job_events import Event
from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import ROLE_ARN


@pytest.fixture
def mocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


def put_into_mocked_s3(bucket: str, key: str, body: bytes, role_arn: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def send(url: str, method: str, body: bytes, headers: dict[str, str]) -> Any:
    """A request as the export functions send it: signed by the session, outside any boto3 client."""
    request = AWSRequest(method, url, {"Content-Type": "application/fhir+json", **headers}, body)
    credentials = boto3.Session().get_credentials()
    assert credentials is not None
    SigV4Auth(credentials, "healthlake", "us-east-1").add_auth(request)
    return URLLib3Session().send(request.prepare())


@pytest.mark.usefixtures("mocked")
def test_an_export_reaches_the_mocked_bucket_and_its_events_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="hub-bucket")
    with HealthLakeServer(put_object=put_into_mocked_s3, on_event=events.append) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_HEALTHLAKE", server.url)
        client = boto3.client("healthlake")
        endpoint = client.create_fhir_datastore(DatastoreTypeVersion="R4")["DatastoreEndpoint"]
        assert client.meta.endpoint_url == server.url
        resource = b'{"resourceType":"Patient","id":"p1"}'
        assert send(f"{endpoint}Patient/p1", "PUT", resource, {}).status_code == 201
        body = {
            "OutputDataConfig": {
                "S3Configuration": {"S3Uri": "s3://hub-bucket/run", "KmsKeyId": "alias/hub"}
            },
            "DataAccessRoleArn": ROLE_ARN,
        }
        headers = {"Prefer": "respond-async"}
        started = send(f"{endpoint}$export", "POST", json.dumps(body).encode(), headers)
        job_id = json.loads(started.content)["jobId"]
        server.service.exports.wait_for(job_id, "COMPLETED")
        described = send(f"{endpoint}export/{job_id}", "GET", b"", {})
        [file] = json.loads(described.content)["output"]
        key = file["url"].removeprefix("s3://hub-bucket/")
        assert b'"id":"p1"' in s3.get_object(Bucket="hub-bucket", Key=key)["Body"].read()
    assert [event["detail-type"] for event in events][-1] == "Export Job Completed"


@pytest.mark.usefixtures("mocked")
def test_a_missing_bucket_fails_the_job_under_s3s_error_name() -> None:
    with HealthLakeServer(put_object=put_into_mocked_s3) as server:
        fhir = server.client()
        fhir.put("Patient", "p1")
        job_id = fhir.start_export().document["jobId"]
        job = server.service.exports.wait_for(job_id, "FAILED")
        assert str(job.message).startswith("The output could not be written to Amazon S3 (NoSuchBucket).")
