"""HealthLake joined to the local account, with IAM enforced.

AWS HealthLake Developer Guide: "Setting up permissions for export jobs"; Service Authorization Reference:
"Actions, resources, and condition keys for AWS HealthLake"; AWS CloudFormation Template Reference:
"AWS::HealthLake::FHIRDatastore".
"""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import WaiterError

from local.account import clients, lifecycle
from local.account.settings import AccountSettings
from local.account.state_file import RunningAccount
from local.healthlake.testing_client import Answer, FhirClient
from local.testing.patience import PATIENCE_SECONDS

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Tag": {"Type": "String", "Default": "one"}, "Name": {"Type": "String", "Default": "hub"}},
    "Resources": {
        "Datastore": {
            "Type": "AWS::HealthLake::FHIRDatastore",
            "Properties": {
                "DatastoreTypeVersion": "R4",
                "DatastoreName": {"Ref": "Name"},
                "SseConfiguration": {"KmsEncryptionConfig": {"CmkType": "AWS_OWNED_KMS_KEY"}},
                "Tags": [{"Key": "kind", "Value": {"Ref": "Tag"}}],
            },
        },
        "Queue": {"Type": "AWS::SQS::Queue"},
        "QueuePolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{"Ref": "Queue"}],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": {
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": {"Fn::GetAtt": ["Queue", "Arn"]},
                    },
                },
            },
        },
        "JobEvents": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {
                    "source": ["aws.healthlake"],
                    "detail-type": ["Export Job Completed", "Export Job Failed"],
                    "detail": {"datastoreId": [{"Ref": "Datastore"}]},
                },
                "Targets": [{"Id": "queue", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}],
            },
        },
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": {
                        "Effect": "Allow",
                        "Principal": {"Service": "healthlake.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                        "Condition": {
                            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
                            "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["Datastore", "DatastoreArn"]}},
                        },
                    },
                },
                "Policies": [
                    {
                        "PolicyName": "exports",
                        "PolicyDocument": {
                            "Version": "2012-10-17",
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Action": "s3:PutObject",
                                    "Resource": {"Fn::Sub": "${Bucket.Arn}/exports/*"},
                                },
                                {
                                    "Effect": "Allow",
                                    "Action": "s3:ListBucket",
                                    "Resource": {"Fn::GetAtt": ["Bucket", "Arn"]},
                                },
                                {
                                    "Effect": "Allow",
                                    "Action": "s3:GetObject",
                                    "Resource": {"Fn::Sub": "${Bucket.Arn}/readable/*"},
                                },
                            ],
                        },
                    }
                ],
            },
        },
    },
    "Outputs": {
        "DatastoreId": {"Value": {"Ref": "Datastore"}},
        "DatastoreArn": {"Value": {"Fn::GetAtt": ["Datastore", "DatastoreArn"]}},
        "DatastoreEndpoint": {"Value": {"Fn::GetAtt": ["Datastore", "DatastoreEndpoint"]}},
        "DatastoreStatus": {"Value": {"Fn::GetAtt": ["Datastore", "DatastoreStatus"]}},
        "Bucket": {"Value": {"Ref": "Bucket"}},
        "QueueUrl": {"Value": {"Ref": "Queue"}},
        "RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}},
    },
}


@dataclass(frozen=True)
class Stack:
    """The deployed stack, and its outputs."""

    account: RunningAccount
    outputs: dict[str, str]

    def client(self, service: str) -> Any:
        return clients.client(self.account, service)

    def fhir(self, key: Credentials | None = None) -> FhirClient:
        deployer = Credentials(self.account.access_key_id, self.account.secret_access_key)
        return FhirClient(self.outputs["DatastoreEndpoint"], key or deployer)

    def export(self, fhir: FhirClient, prefix: str = "exports", role: str | None = None) -> Answer:
        target = {"S3Uri": f"s3://{self.outputs['Bucket']}/{prefix}", "KmsKeyId": "alias/hub"}
        return fhir.start_export(
            OutputDataConfig={"S3Configuration": target},
            DataAccessRoleArn=role or self.outputs["RoleArn"],
        )

    def user(self, *statements: dict[str, Any]) -> Credentials:
        """The key of a new IAM user with an inline policy."""
        iam, name = self.client("iam"), f"user-{uuid.uuid4().hex[:8]}"
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def allow(self, *actions: str) -> dict[str, Any]:
        return {"Effect": "Allow", "Action": list(actions), "Resource": self.outputs["DatastoreArn"]}

    def pass_role(self) -> dict[str, Any]:
        return {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": self.outputs["RoleArn"],
            "Condition": {"StringEquals": {"iam:PassedToService": "healthlake.amazonaws.com"}},
        }


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    state_dir = tmp_path_factory.mktemp("account")
    yield lifecycle.start(AccountSettings(port=0, state_dir=state_dir, parts=("healthlake",)))
    lifecycle.stop(state_dir)


@pytest.fixture(scope="module")
def stack(account: RunningAccount) -> Stack:
    return Stack(account, deploy(account, "hub"))


def deploy(account: RunningAccount, name: str, **parameters: str) -> dict[str, str]:
    """Outputs of the stack, created or updated."""
    cloudformation = clients.client(account, "cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    known = [found["StackName"] for found in cloudformation.describe_stacks()["Stacks"]]
    change, waiter = (
        (cloudformation.update_stack, "stack_update_complete")
        if name in known
        else (cloudformation.create_stack, "stack_create_complete")
    )
    change(
        StackName=name,
        TemplateBody=json.dumps(TEMPLATE),
        Parameters=given,
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter(waiter).wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def await_end(fhir: FhirClient, job_id: str) -> dict[str, Any]:
    """The status document of a job that has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := fhir.send("GET", f"export/{job_id}")).status == 202:
        assert time.monotonic() < deadline, "the job does not end"
        time.sleep(0.1)
    document: dict[str, Any] = answer.document
    return document


def test_a_stack_has_its_datastore(stack: Stack) -> None:
    outputs = stack.outputs
    described = stack.client("healthlake").describe_fhir_datastore(DatastoreId=outputs["DatastoreId"])
    properties = described["DatastoreProperties"]
    assert properties["DatastoreName"] == "hub"
    assert properties["DatastoreArn"] == outputs["DatastoreArn"]
    assert properties["DatastoreEndpoint"] == outputs["DatastoreEndpoint"]
    assert outputs["DatastoreStatus"] == "ACTIVE"
    assert outputs["DatastoreEndpoint"] == (
        f"http://127.0.0.1:{stack.account.port}/datastore/{outputs['DatastoreId']}/r4/"
    )


def test_an_export_writes_to_s3_as_its_role_and_its_event_reaches_a_rule(stack: Stack) -> None:
    fhir = stack.fhir()
    assert fhir.put("Patient", "p1").status in (200, 201)
    job_id = stack.export(fhir).document["jobId"]
    document = await_end(fhir, job_id)
    assert document["exportJobProperties"]["jobStatus"] == "COMPLETED"
    keys = [file["url"].removeprefix(f"s3://{stack.outputs['Bucket']}/") for file in document["output"]]
    listed = stack.client("s3").list_objects_v2(Bucket=stack.outputs["Bucket"], Prefix="exports/")["Contents"]
    assert [entry["Key"] for entry in listed if job_id in entry["Key"]] == keys
    assert job_id in [event["detail"]["jobId"] for event in received(stack)]


def received(stack: Stack) -> list[dict[str, Any]]:
    sqs, events = stack.client("sqs"), []
    while messages := sqs.receive_message(
        QueueUrl=stack.outputs["QueueUrl"], MaxNumberOfMessages=10, WaitTimeSeconds=1
    ).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=stack.outputs["QueueUrl"], ReceiptHandle=message["ReceiptHandle"])
            events.append(json.loads(message["Body"]))
    return events


def test_a_role_that_may_not_write_there_fails_the_job(stack: Stack) -> None:
    fhir = stack.fhir()
    fhir.put("Patient", "p1")
    document = await_end(fhir, stack.export(fhir, prefix="elsewhere").document["jobId"])
    assert document["exportJobProperties"]["jobStatus"] == "FAILED"
    assert "AccessDenied" in document["exportJobProperties"]["message"]


@pytest.mark.parametrize(("prefix", "status"), [("readable/", "COMPLETED"), ("closed/", "FAILED")])
def test_an_import_reads_as_its_role(stack: Stack, prefix: str, status: str) -> None:
    body = b'{"resourceType":"Patient","id":"imported"}'
    stack.client("s3").put_object(Bucket=stack.outputs["Bucket"], Key=f"{prefix}a.ndjson", Body=body)
    api = stack.client("healthlake")
    log = {"S3Uri": f"s3://{stack.outputs['Bucket']}/exports", "KmsKeyId": "alias/hub"}
    job_id = api.start_fhir_import_job(
        DatastoreId=stack.outputs["DatastoreId"],
        InputDataConfig={"S3Uri": f"s3://{stack.outputs['Bucket']}/{prefix}"},
        JobOutputDataConfig={"S3Configuration": log},
        DataAccessRoleArn=stack.outputs["RoleArn"],
    )["JobId"]
    waiter = api.get_waiter("fhir_import_job_completed")
    job = {"DatastoreId": stack.outputs["DatastoreId"], "JobId": job_id}
    with contextlib.suppress(WaiterError):
        waiter.wait(**job, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    assert api.describe_fhir_import_job(**job)["ImportJobProperties"]["JobStatus"] == status


def test_each_rest_call_needs_its_own_action(stack: Stack) -> None:
    stack.fhir().put("Patient", "p1")
    reader = stack.fhir(stack.user(stack.allow("healthlake:ReadResource", "healthlake:SearchWithGet")))
    assert reader.send("GET", "Patient/p1").status == 200
    assert reader.send("GET", "Patient?_count=1").status == 200
    refused = {
        "CreateResource": reader.send("POST", "Patient", {"resourceType": "Patient"}),
        "UpdateResource": reader.put("Patient", "p1"),
        "DeleteResource": reader.send("DELETE", "Patient/p1"),
        "VersionReadResource": reader.send("GET", "Patient/p1/_history/1"),
        "SearchWithPost": reader.send("POST", "Patient/_search"),
        "ProcessBundle": reader.send("POST", "", {"resourceType": "Bundle", "type": "batch"}),
        "GetCapabilities": reader.send("GET", "metadata"),
        "StartFHIRExportJobWithPost": stack.export(reader),
        "DescribeFHIRExportJobWithGet": reader.send("GET", f"export/{'0' * 32}"),
        "CancelFHIRExportJobWithDelete": reader.send("DELETE", f"export/{'0' * 32}"),
    }
    for action, answer in refused.items():
        assert answer.status == 403, action
        assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
        assert f"not authorized to perform: healthlake:{action} on resource" in answer.document["message"]


def test_the_action_of_the_json_api_does_not_allow_the_rest_call(stack: Stack) -> None:
    user = stack.user(stack.allow("healthlake:StartFHIRExportJob"), stack.pass_role())
    assert stack.export(stack.fhir(user)).status == 403


def test_a_start_needs_permission_to_pass_the_role(stack: Stack) -> None:
    start = stack.allow("healthlake:StartFHIRExportJobWithPost")
    refused = stack.export(stack.fhir(stack.user(start)))
    assert refused.status == 403
    assert "iam:PassRole" in refused.document["message"]
    assert stack.export(stack.fhir(stack.user(start, stack.pass_role()))).status == 202


def test_a_role_that_does_not_trust_healthlake_is_refused(stack: Stack) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = stack.client("iam").create_role(
        RoleName="untrusting", AssumeRolePolicyDocument=json.dumps({"Statement": [statement]})
    )
    refused = stack.export(stack.fhir(), role=role["Role"]["Arn"])
    assert refused.status == 403
    assert "trust policy" in refused.document["message"]
    missing = stack.export(stack.fhir(), role="arn:aws:iam::000000000000:role/nobody")
    assert missing.status == 403


def test_the_json_api_refuses_under_its_error_name(stack: Stack) -> None:
    key = stack.user(stack.allow("healthlake:DescribeFHIRDatastore"))
    api = boto3.client(
        "healthlake",
        endpoint_url=f"http://127.0.0.1:{stack.account.port}",
        region_name="us-east-1",
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key,
    )
    api.describe_fhir_datastore(DatastoreId=stack.outputs["DatastoreId"])
    with pytest.raises(api.exceptions.AccessDeniedException):
        api.list_fhir_datastores()


def test_wrong_and_missing_signatures_are_refused(stack: Stack) -> None:
    key = stack.user(stack.allow("healthlake:*"))
    forged = stack.fhir(Credentials(key.access_key, "another-secret"))
    assert forged.send("GET", "Patient/p1").status == 403
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{stack.outputs['DatastoreEndpoint']}Patient/p1")
    assert refused.value.code == 403


def test_the_overview_and_faults_are_on_the_same_port(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.account.port}/_local/healthlake"
    with urllib.request.urlopen(url) as answer:
        assert stack.outputs["DatastoreId"] in [one["datastoreId"] for one in json.load(answer)["datastores"]]
    order = json.dumps({"fault": "throttle", "calls": 1, "action": "GetCapabilities"}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/faults", order, method="POST")).close()
    assert [stack.fhir().send("GET", "metadata").status for _ in range(2)] == [429, 200]


def test_large_bundles_load_through_the_account(stack: Stack) -> None:
    entries = [
        {
            "resource": {"resourceType": "Location", "id": f"l{number}", "description": "x" * 1000},
            "request": {"method": "PUT", "url": f"Location/l{number}"},
        }
        for number in range(500)
    ]
    answer = stack.fhir().send("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": entries})
    assert [entry["response"]["status"][:3] for entry in answer.document["entry"]] == ["201"] * 500


def test_new_tags_keep_the_datastore_and_a_new_name_replaces_it(account: RunningAccount) -> None:
    api = clients.client(account, "healthlake")
    first = deploy(account, "changing")
    tagged = deploy(account, "changing", Tag="two")
    assert tagged["DatastoreId"] == first["DatastoreId"]
    tags = api.list_tags_for_resource(ResourceARN=tagged["DatastoreArn"])["Tags"]
    assert {"Key": "kind", "Value": "two"} in tags
    renamed = deploy(account, "changing", Tag="two", Name="other")
    assert renamed["DatastoreId"] != first["DatastoreId"]
    old = api.describe_fhir_datastore(DatastoreId=first["DatastoreId"])["DatastoreProperties"]
    assert old["DatastoreStatus"] == "DELETED"


def test_a_deleted_stack_deletes_its_datastore(account: RunningAccount) -> None:
    outputs = deploy(account, "passing")
    cloudformation = clients.client(account, "cloudformation")
    cloudformation.delete_stack(StackName="passing")
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName="passing", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    described = clients.client(account, "healthlake").describe_fhir_datastore(
        DatastoreId=outputs["DatastoreId"]
    )
    assert described["DatastoreProperties"]["DatastoreStatus"] == "DELETED"


def test_without_iam_everything_signed_is_allowed_and_a_reset_forgets(tmp_path: Path) -> None:
    account = lifecycle.start(AccountSettings(port=0, state_dir=tmp_path, auth=False, parts=("healthlake",)))
    try:
        api = clients.client(account, "healthlake")
        clients.client(account, "s3").create_bucket(Bucket="hub-bucket")
        created = api.create_fhir_datastore(DatastoreTypeVersion="R4")
        fhir = FhirClient(created["DatastoreEndpoint"], Credentials("test", "test"))
        fhir.put("Patient", "p1")
        document = await_end(fhir, fhir.start_export().document["jobId"])
        assert document["exportJobProperties"]["jobStatus"] == "COMPLETED"
        with pytest.raises(urllib.error.HTTPError) as unsigned:
            urllib.request.urlopen(f"{created['DatastoreEndpoint']}Patient/p1")
        assert unsigned.value.code == 403
        reset = urllib.request.Request(f"http://127.0.0.1:{account.port}/_ministack/reset", method="POST")
        urllib.request.urlopen(reset).close()
        assert api.list_fhir_datastores()["DatastorePropertiesList"] == []
    finally:
        lifecycle.stop(tmp_path)
