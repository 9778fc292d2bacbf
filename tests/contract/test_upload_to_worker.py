"""An upload in the local account comes to a worker, which has the rights of the fleet's instances and no
others.

AWS documentation: «Actions, resources, and condition keys» of Amazon SQS, Amazon S3 and Amazon DynamoDB
(Service Authorization Reference).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.account.clients import client
from local.account.host import python_runtime
from local.account.lifecycle import REPOSITORY
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.pipes.testing import eventually
from local.testing import partial_stack
from local.testing.template_reader import read
from local.workers.process import WorkerProcess
from local.workers.settings import QUICK, worker_settings
from uploads.upload_items import item_id

RESOURCES = {
    "HubKey",
    "HubBucket",
    "UploadsBucket",
    "UploadsTopic",
    "UploadsTopicPolicy",
    "RecordUploadFunction",
    "RecordUploadLogs",
    "RecordUploadDeadLetterQueue",
    "UploadNotificationsDeadLetterQueue",
    "JobsTable",
    "JobsQueue",
    "JobsDeadLetterQueue",
    "DetectTransitionsFunction",
    "DetectTransitionsLogs",
    "WorkerLayer",
    "WorkerLogGroup",
    "WorkerRole",
}
PARTS = ("iam", "lambda_runtime", "cloudwatch", "sqs", "streams")
CONTENT = b'{"resourceType":"Patient","id":"p1"}\n{"resourceType":"Observation","id":"o1"}\n'


@dataclass(frozen=True)
class Uploads:
    """The deployed part of the stack, and settings of a worker in it; `names` are physical names."""

    account: RunningAccount
    names: Mapping[str, str]
    settings: Mapping[str, str]

    def client(self, service: str) -> Any:
        return client(self.account, service)

    def put(self, key: str) -> str:
        """Upload; returns the object's version."""
        put = self.client("s3").put_object(Bucket=self.names["UploadsBucket"], Key=key, Body=CONTENT)
        return str(put["VersionId"])

    def item(self, identity: str) -> dict[str, Any]:
        answer = self.client("dynamodb").get_item(
            TableName=self.names["JobsTable"], Key={"id": {"S": identity}}, ConsistentRead=True
        )
        found: dict[str, Any] = answer.get("Item", {})
        return found

    def upload(self, key: str) -> dict[str, Any]:
        return self.item(item_id(self.names["UploadsBucket"], key))

    def phase(self, key: str) -> str | None:
        phase: str | None = self.upload(key).get("phase", {}).get("S")
        return phase


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uploads]:
    with running_account(tmp_path_factory.mktemp("account"), parts=PARTS) as account:
        names = deploy(account)
        yield Uploads(account, names, settings_of_an_instance(account, names))


def deploy(account: RunningAccount) -> dict[str, str]:
    """The part of the template, with what the functions are built of as the layer, which no process here
    takes."""
    s3, clouds = client(account, "s3"), client(account, "cloudformation")
    part = partial_stack.part_of(read(REPOSITORY / "template.yaml"), RESOURCES)
    archive = {"Bucket": partial_stack.ARTIFACTS, "Key": "functions.zip"}
    part["Resources"]["WorkerLayer"]["Properties"]["ContentUri"] = archive
    s3.create_bucket(Bucket=partial_stack.ARTIFACTS)
    s3.put_object(**archive, Body=partial_stack._functions())
    given = {"Workers": "on", "Tracing": "PassThrough", "PythonRuntime": python_runtime()}
    clouds.create_stack(
        StackName="hub",
        TemplateBody=json.dumps(part),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    waited = {"Delay": 1, "MaxAttempts": 60}
    clouds.get_waiter("stack_create_complete").wait(StackName="hub", WaiterConfig=waited)
    listed = clouds.describe_stack_resources(StackName="hub")["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}


def settings_of_an_instance(account: RunningAccount, names: Mapping[str, str]) -> dict[str, str]:
    """A worker's environment, with credentials of a role that has the policies of the instances' role, but
    may be assumed by this process, which is no instance."""
    iam, role = client(account, "iam"), names["WorkerRole"]
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "sts:AssumeRole",
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [root]})
    arn = iam.create_role(RoleName="as-an-instance", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        iam.put_role_policy(RoleName="as-an-instance", PolicyName=policy, PolicyDocument=json.dumps(document))
    given = client(account, "sts").assume_role(RoleArn=arn, RoleSessionName="i-0")["Credentials"]
    outputs = {"JobsQueueUrl": names["JobsQueue"], "JobsTableName": names["JobsTable"]}
    return worker_settings(account, "hub", outputs, {**QUICK, "WAIT_SECONDS": "2"}) | {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


@pytest.fixture(scope="module")
def worker(uploads: Uploads) -> Iterator[WorkerProcess]:
    with WorkerProcess(Path(REPOSITORY), uploads.settings) as worker:
        yield worker


def test_an_upload_is_worked_on_with_no_api_in_between(uploads: Uploads, worker: WorkerProcess) -> None:
    key = "uploads/lab-7/Befunde Müller + Söhne 100%.ndjson"
    uploads.put(key)

    eventually(lambda: uploads.phase(key) == "PROCESSED")

    job = uploads.item(uploads.upload(key)["processedBy"]["S"])
    assert (job["phase"], job["rule"]) == ({"S": "DONE"}, {"S": "upload-arrived"})
    types = {"Observation": {"N": "1"}, "Patient": {"N": "1"}}
    assert job["result"]["M"]["resourceTypes"] == {"M": types}


def test_an_upload_whose_version_is_gone_when_its_turn_comes_has_failed_for_good(
    uploads: Uploads, worker: WorkerProcess
) -> None:
    """S3 says «not found», and not «access denied», to who may list the bucket. The item still says UPLOADED,
    as where the notification of the deletion is late."""
    message = {
        "transitionId": "cd" * 32,
        "rule": "upload-arrived",
        "itemType": "Upload",
        "key": {"id": "UPLOAD#gone"},
        "sequenceNumber": "1",
        "attributes": {
            "bucket": uploads.names["UploadsBucket"],
            "key": "uploads/lab-7/gone",
            "etag": "0" * 32,
        },
    }
    item = {"id": "UPLOAD#gone", "itemType": "Other", "phase": "UPLOADED", "etag": "0" * 32}
    uploads.client("dynamodb").put_item(
        TableName=uploads.names["JobsTable"], Item={name: {"S": value} for name, value in item.items()}
    )
    uploads.client("sqs").send_message(
        QueueUrl=uploads.names["JobsQueue"],
        MessageBody=json.dumps(message),
        MessageGroupId="gone",
        MessageDeduplicationId="gone",
    )

    job = eventually(lambda: uploads.item(f"JOB#{'cd' * 32}"))

    assert (job["phase"], job["reason"]) == ({"S": "FAILED"}, {"S": "object-gone"})
    assert uploads.item("UPLOAD#gone")["phase"] == {"S": "FAILED"}
