"""Signatures. AWS IAM User Guide: "AWS Signature Version 4 for API requests"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import FhirClient

KNOWN = Credentials("AKIDEXAMPLE", "example-secret")


@pytest.fixture(scope="module")
def server() -> Iterator[HealthLakeServer]:
    with HealthLakeServer(pace=None, secrets={"AKIDEXAMPLE": "example-secret"}) as server:
        yield server


@pytest.fixture
def fhir(server: HealthLakeServer) -> FhirClient:
    return server.client()


def signed(fhir: FhirClient, method: str, path: str, body: bytes = b"") -> AWSRequest:
    request = AWSRequest(method, f"{fhir.endpoint}{path}", {}, body)
    SigV4Auth(KNOWN, "healthlake", "us-east-1").add_auth(request)
    return request


@pytest.mark.parametrize(
    "path",
    [
        "Patient",
        "Patient?_lastUpdated=ge2026-01-01T00:00:00%2B01:00&_count=5",
        "Patient?_id=a,b&_id=%C3%A9",
        "metadata",
    ],
)
def test_a_proper_signature_is_accepted(fhir: FhirClient, path: str) -> None:
    assert fhir.send("GET", path).status == 200


def test_the_dollar_of_export_may_be_encoded_or_not(fhir: FhirClient) -> None:
    for path in ("$export", "%24export"):
        assert fhir.send("POST", path, b"{}", {"Prefer": "respond-async"}).status == 400


def test_a_request_without_a_signature_is_refused(fhir: FhirClient) -> None:
    refused = fhir.transmit(AWSRequest("GET", f"{fhir.endpoint}Patient"))
    assert refused.status == 403
    assert refused.document["message"] == "Missing Authentication Token"
    assert refused.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_a_wrong_secret_is_refused(server: HealthLakeServer) -> None:
    client = FhirClient(server.create_datastore().endpoint, Credentials("AKIDEXAMPLE", "another-secret"))
    refused = client.send("GET", "Patient")
    assert refused.status == 403
    assert refused.headers["x-amzn-errortype"] == "InvalidSignatureException"


def test_an_unknown_key_is_refused(server: HealthLakeServer) -> None:
    client = FhirClient(server.create_datastore().endpoint, Credentials("AKIDUNKNOWN", "example-secret"))
    assert client.send("GET", "Patient").headers["x-amzn-errortype"] == "UnrecognizedClientException"


def test_a_signature_for_another_service_is_refused(fhir: FhirClient) -> None:
    assert fhir.send("GET", "Patient", service="s3").status == 403


def test_a_changed_body_is_refused(fhir: FhirClient) -> None:
    request = signed(fhir, "PUT", "Patient/p1", b'{"resourceType":"Patient","id":"p1"}')
    request.data = b'{"resourceType":"Patient","id":"p1","active":true}'
    assert fhir.transmit(request).status == 403


def test_a_changed_path_is_refused(fhir: FhirClient) -> None:
    request = signed(fhir, "GET", "Patient/p1")
    request.url = f"{fhir.endpoint}Patient/p2"
    assert fhir.transmit(request).status == 403


def test_an_old_signature_is_refused(fhir: FhirClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ten_minutes_ago = datetime.now(UTC) - timedelta(minutes=10)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: ten_minutes_ago)
    refused = fhir.send("GET", "Patient")
    assert refused.status == 403
    assert "expired" in refused.document["message"]


def test_a_header_that_is_not_sigv4_is_refused(fhir: FhirClient) -> None:
    request = AWSRequest("GET", f"{fhir.endpoint}Patient", {"Authorization": "Bearer token"})
    assert fhir.transmit(request).headers["x-amzn-errortype"] == "IncompleteSignatureException"


def test_boto3_is_accepted_and_reads_the_refusal(server: HealthLakeServer) -> None:
    def client(secret: str) -> object:
        return boto3.client(
            "healthlake",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key=secret,
        ).list_fhir_datastores()

    client("example-secret")
    with pytest.raises(ClientError) as refused:
        client("another-secret")
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert refused.value.response["ResponseMetadata"]["RequestId"]


def test_without_known_keys_any_well_formed_signature_passes() -> None:
    with HealthLakeServer(pace=None) as server:
        client = FhirClient(server.create_datastore().endpoint, Credentials("AKIDANY", "any"))
        assert client.send("GET", "Patient").status == 200
        refused = client.transmit(AWSRequest("GET", f"{client.endpoint}Patient"))
        assert json.loads(refused.body)["__type"] == "MissingAuthenticationTokenException"
