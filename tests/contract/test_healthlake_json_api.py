"""The JSON API through boto3. AWS HealthLake API Reference: "Actions", "Common Errors"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.healthlake.clock import ManualClock
from local.healthlake.testing import HealthLakeServer
from local.healthlake.testing_client import ROLE_ARN

if TYPE_CHECKING:
    from mypy_boto3_healthlake import HealthLakeClient

START = datetime(2026, 5, 1, 10, 0, 0, tzinfo=UTC)
OUTPUT: Any = {"S3Configuration": {"S3Uri": "s3://hub-bucket/exports", "KmsKeyId": "alias/hub"}}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def server(clock: ManualClock) -> Iterator[HealthLakeServer]:
    with HealthLakeServer(clock=clock, pace=None) as server:
        yield server


@pytest.fixture
def api(server: HealthLakeServer) -> HealthLakeClient:
    return boto3.client(
        "healthlake",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="example-secret",
        # What the service refuses is its own affair here, not botocore's.
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def datastore_id(api: HealthLakeClient) -> str:
    return api.create_fhir_datastore(DatastoreTypeVersion="R4", DatastoreName="records")["DatastoreId"]


def export(api: HealthLakeClient, datastore_id: str, **changes: Any) -> str:
    started = api.start_fhir_export_job(
        **{
            "DatastoreId": datastore_id,
            "OutputDataConfig": OUTPUT,
            "DataAccessRoleArn": ROLE_ARN,
            "JobName": "run",
            **changes,
        }
    )
    assert started["JobStatus"] == "SUBMITTED"
    return started["JobId"]


def test_a_datastore_is_created_and_described(api: HealthLakeClient, server: HealthLakeServer) -> None:
    sse: Any = {"KmsEncryptionConfig": {"CmkType": "CUSTOMER_MANAGED_KMS_KEY", "KmsKeyId": "alias/hub"}}
    created = api.create_fhir_datastore(
        DatastoreTypeVersion="R4", DatastoreName="records", SseConfiguration=sse
    )
    assert created["DatastoreStatus"] == "CREATING"
    assert created["DatastoreEndpoint"] == f"{server.url}/datastore/{created['DatastoreId']}/r4/"
    described = api.describe_fhir_datastore(DatastoreId=created["DatastoreId"])["DatastoreProperties"]
    assert described["DatastoreStatus"] == "ACTIVE"
    assert described["DatastoreName"] == "records"
    assert described["SseConfiguration"] == sse
    assert described["CreatedAt"] == START
    assert described["DatastoreArn"].endswith(f":datastore/fhir/{created['DatastoreId']}")


def test_a_client_token_creates_one_datastore(api: HealthLakeClient) -> None:
    ids = {
        api.create_fhir_datastore(DatastoreTypeVersion="R4", ClientToken="once")["DatastoreId"]
        for _ in range(2)
    }
    assert len(ids) == 1


def test_datastores_are_listed_by_filter_and_page(api: HealthLakeClient, clock: ManualClock) -> None:
    for name in ("a", "b", "c"):
        api.create_fhir_datastore(DatastoreTypeVersion="R4", DatastoreName=name)
        clock.advance(timedelta(hours=1))
    first = api.list_fhir_datastores(MaxResults=2)
    second = api.list_fhir_datastores(MaxResults=2, NextToken=first["NextToken"])
    names = [found["DatastoreName"] for page in (first, second) for found in page["DatastorePropertiesList"]]
    assert names == ["a", "b", "c"]
    assert "NextToken" not in second

    def named(**filters: Any) -> list[str]:
        wanted: Any = filters
        found = api.list_fhir_datastores(Filter=wanted)["DatastorePropertiesList"]
        return [datastore["DatastoreName"] for datastore in found]

    assert named(DatastoreName="b") == ["b"]
    assert named(DatastoreStatus="DELETED") == []
    assert named(CreatedAfter=START + timedelta(minutes=30)) == ["b", "c"]
    assert named(CreatedBefore=START + timedelta(minutes=90)) == ["a", "b"]


def test_a_deleted_datastore_is_listed_as_deleted_and_serves_nothing(
    api: HealthLakeClient, server: HealthLakeServer, datastore_id: str
) -> None:
    client = server.client(server.service.catalog.get(datastore_id))
    client.put("Patient", "p1")
    assert api.delete_fhir_datastore(DatastoreId=datastore_id)["DatastoreStatus"] == "DELETING"
    described = api.describe_fhir_datastore(DatastoreId=datastore_id)["DatastoreProperties"]
    assert described["DatastoreStatus"] == "DELETED"
    assert client.send("GET", "Patient/p1").status == 404
    with pytest.raises(api.exceptions.ConflictException):
        api.delete_fhir_datastore(DatastoreId=datastore_id)
    with pytest.raises(api.exceptions.ValidationException):
        export(api, datastore_id)


def test_the_jobs_of_a_deleted_datastore_end_with_it(
    api: HealthLakeClient, server: HealthLakeServer, datastore_id: str
) -> None:
    export(api, datastore_id)
    server.step()
    api.delete_fhir_datastore(DatastoreId=datastore_id)
    assert server.step() == []
    assert api.list_fhir_export_jobs(DatastoreId=datastore_id)["ExportJobPropertiesList"] == []


def test_an_unknown_datastore_is_named_so(api: HealthLakeClient) -> None:
    with pytest.raises(api.exceptions.ResourceNotFoundException) as refused:
        api.describe_fhir_datastore(DatastoreId="0" * 32)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(api.exceptions.ResourceNotFoundException):
        export(api, "0" * 32)


def test_an_export_job_is_described_until_it_ends(
    api: HealthLakeClient, server: HealthLakeServer, datastore_id: str, clock: ManualClock
) -> None:
    job_id = export(api, datastore_id)
    running = api.describe_fhir_export_job(DatastoreId=datastore_id, JobId=job_id)["ExportJobProperties"]
    assert running["JobStatus"] == "SUBMITTED"
    assert "EndTime" not in running
    server.step()
    clock.advance(timedelta(minutes=2))
    server.step()
    ended = api.describe_fhir_export_job(DatastoreId=datastore_id, JobId=job_id)["ExportJobProperties"]
    assert ended["JobStatus"] == "COMPLETED"
    assert ended["JobName"] == "run"
    assert (ended["SubmitTime"], ended["EndTime"]) == (START, START + timedelta(minutes=2))
    assert ended["DataAccessRoleArn"] == ROLE_ARN


def test_a_client_token_starts_one_job(api: HealthLakeClient, datastore_id: str) -> None:
    assert export(api, datastore_id, ClientToken="t1") == export(api, datastore_id, ClientToken="t1")
    assert export(api, datastore_id, ClientToken="t1") != export(api, datastore_id, ClientToken="t2")


def test_export_jobs_are_listed_newest_first_by_filter_and_page(
    api: HealthLakeClient, server: HealthLakeServer, datastore_id: str, clock: ManualClock
) -> None:
    ids = []
    for name in ("a", "b", "a"):
        ids.append(export(api, datastore_id, JobName=name))
        clock.advance(timedelta(hours=1))
    server.step()

    def listed(**wanted: Any) -> list[str]:
        pages = api.list_fhir_export_jobs(DatastoreId=datastore_id, **wanted)
        return [job["JobId"] for job in pages["ExportJobPropertiesList"]]

    assert listed() == ids[::-1]
    assert listed(JobName="a") == [ids[2], ids[0]]
    assert listed(JobStatus="IN_PROGRESS") == [ids[0]]
    assert listed(SubmittedAfter=START + timedelta(minutes=30)) == [ids[2], ids[1]]
    assert listed(SubmittedBefore=START + timedelta(minutes=90)) == [ids[1], ids[0]]
    first = api.list_fhir_export_jobs(DatastoreId=datastore_id, MaxResults=2)
    assert listed(MaxResults=2, NextToken=first["NextToken"]) == [ids[0]]


def test_an_unknown_job_is_named_so(api: HealthLakeClient, datastore_id: str) -> None:
    with pytest.raises(api.exceptions.ResourceNotFoundException):
        api.describe_fhir_export_job(DatastoreId=datastore_id, JobId="0" * 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"JobName": "x" * 65},
        {"DataAccessRoleArn": "arn:aws:iam::1:user/me-myself-and-i"},
        {"OutputDataConfig": {"S3Configuration": {"S3Uri": "s3://b", "KmsKeyId": "k"}}},
        {"OutputDataConfig": {"S3Configuration": {"S3Uri": "s3://hub-bucket/"}}},
        {"OutputDataConfig": {}},
        {"ClientToken": "not a token"},
        {"DatastoreId": ""},
        {"JobName": 5},
    ],
)
def test_parameters_outside_the_model_are_refused(
    api: HealthLakeClient, server: HealthLakeServer, datastore_id: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(api.exceptions.ValidationException) as refused:
        export(api, datastore_id, **changes)
    assert "failed to satisfy constraint" in refused.value.response["Error"]["Message"]
    assert server.step() == []


@pytest.mark.parametrize(
    "wrong", [{"MaxResults": 0}, {"MaxResults": 501}, {"JobStatus": "ASLEEP"}, {"NextToken": "?"}]
)
def test_lists_refuse_what_the_model_does(
    api: HealthLakeClient, datastore_id: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(api.exceptions.ValidationException):
        api.list_fhir_export_jobs(DatastoreId=datastore_id, **wrong)


def test_tags_are_added_changed_and_removed(api: HealthLakeClient) -> None:
    arn = api.create_fhir_datastore(
        DatastoreTypeVersion="R4", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    )["DatastoreArn"]
    api.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c", "Value": "4"}])
    api.untag_resource(ResourceARN=arn, TagKeys=["a"])
    tags = {tag["Key"]: tag["Value"] for tag in api.list_tags_for_resource(ResourceARN=arn)["Tags"]}
    assert tags == {"b": "3", "c": "4"}
    with pytest.raises(api.exceptions.ResourceNotFoundException):
        api.list_tags_for_resource(ResourceARN=arn[:-1] + "0" if arn[-1] != "0" else arn[:-1] + "1")


def test_an_operation_that_is_not_there_is_refused(api: HealthLakeClient) -> None:
    with pytest.raises(ClientError) as refused:
        api.restore_fhir_datastore(SourceDatastoreId="0" * 32, RestoreConfiguration={})
    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"


def test_boto3s_waiter_ends_when_the_datastore_is_active(api: HealthLakeClient, datastore_id: str) -> None:
    api.get_waiter("fhir_datastore_active").wait(DatastoreId=datastore_id)

    described = api.describe_fhir_datastore(DatastoreId=datastore_id)
    assert described["DatastoreProperties"]["DatastoreStatus"] == "ACTIVE"
