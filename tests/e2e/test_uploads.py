"""Uploads in the deployed stack: from a session of the role to the workers' queue; samples of every hop."""

import json
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.account.clients import CONFIG, client
from local.cli import stack
from local.testing.patience import PATIENCE_SECONDS
from local.testing.sample_events import sample
from uploads.upload_items import item_id

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub


@pytest.fixture
def uploader(hub: "Hub") -> Any:
    """S3 for a session whose identity is lab-e2e."""
    given = client(hub.account, "sts").assume_role(
        RoleArn=hub.outputs["UploaderRoleArn"],
        RoleSessionName="e2e",
        Tags=[{"Key": "identity", "Value": "lab-e2e"}],
    )["Credentials"]
    session = boto3.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=hub.account.region,
    )
    return session.client("s3", endpoint_url=hub.account.endpoint, config=CONFIG)


def eventually(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return answer


def invoke(hub: "Hub", function: str, event: str) -> Any:
    name = stack.functions(hub.account, hub.stack_name)[function]
    answer = client(hub.account, "lambda").invoke(FunctionName=name, Payload=json.dumps(sample(event)))
    return json.load(answer["Payload"])


def test_an_upload_is_recorded_and_its_transition_comes_to_the_queue(hub: "Hub", uploader: Any) -> None:
    bucket, key = hub.outputs["UploadsBucketName"], f"uploads/lab-e2e/{uuid.uuid4()} + ü.ndjson"
    uploader.put_object(Bucket=bucket, Key=key, Body=b"{}\n")
    identity = {"id": {"S": item_id(bucket, key)}}
    table = client(hub.account, "dynamodb")

    def recorded() -> Any:
        return table.get_item(TableName=hub.outputs["JobsTableName"], Key=identity).get("Item")

    assert eventually(recorded)["phase"] == {"S": "UPLOADED"}
    sqs, url = client(hub.account, "sqs"), hub.outputs["JobsQueueUrl"]

    def came() -> bool:
        for one in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
            return bool(json.loads(one["Body"])["key"] == {"id": identity["id"]["S"]})
        return False

    eventually(came)


def test_another_identitys_prefix_is_refused(hub: "Hub", uploader: Any) -> None:
    with pytest.raises(ClientError) as refused:
        uploader.put_object(Bucket=hub.outputs["UploadsBucketName"], Key="uploads/lab-e2f/file", Body=b"x")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.parametrize(
    ("event", "first", "again"),
    [
        ("uploads/object_was_uploaded", {"UPLOADED": 1}, {"STALE": 1}),
        ("uploads/object_was_deleted", {"DELETED": 1}, {"STALE": 1}),
        ("uploads/notifications_were_turned_on", {}, {}),
    ],
)
def test_a_sample_notification_is_recorded_once(hub: "Hub", event: str, first: Any, again: Any) -> None:
    assert invoke(hub, "RecordUploadFunction", event) in (first, again)
    assert invoke(hub, "RecordUploadFunction", event) == again


def test_sample_changes_are_sent_on(hub: "Hub") -> None:
    answer = invoke(hub, "DetectTransitionsFunction", "transitions/jobs_were_changed")
    assert answer == {"batchItemFailures": []}
