"""Uploads in the deployed stack: from a session of the role to the workers' queue; samples of every hop."""

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local.account.clients import client
from local.cli import stack
from local.pipes.testing import eventually
from local.testing.sample_events import sample
from local.testing.uploaders import uploader
from uploads.upload_items import item_id

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub


@pytest.fixture(name="uploader")
def uploader_of_the_stack(hub: "Hub") -> Any:
    """S3 for a session whose identity is lab-e2e."""
    return uploader(hub.account, hub.outputs["UploaderRoleArn"], {"identity": "lab-e2e"})


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
