"""The upload front and the transitions of the template, in the local account: who may upload where, and that
an upload comes to the workers' queue with nothing but services in between.

AWS documentation: «Pass session tags in AWS STS», «IAM policy elements: Variables and tags» (IAM User Guide),
«Policies and permissions in Amazon S3», «Retaining discarded batch records for a DynamoDB event source in
Lambda» (AWS Lambda Developer Guide).
"""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.transitions.command import list_given_up, resend
from local.pipes.testing import eventually
from local.testing.partial_stack import deploy_part
from local.testing.uploaders import uploader
from transitions.detection import group_of
from uploads.upload_items import item_id

RESOURCES = (
    "HubKey",
    "HubBucket",
    "HubBucketPolicy",
    "UploadsBucket",
    "UploadsBucketPolicy",
    "UploaderRole",
    "UploadsTopic",
    "UploadsTopicPolicy",
    "RecordUploadFunction",
    "RecordUploadLogs",
    "RecordUploadDeadLetterQueue",
    "UploadNotificationsDeadLetterQueue",
    "UploadNotificationsQueuePolicy",
    "JobsTable",
    "JobsQueue",
    "JobsDeadLetterQueue",
    "DetectTransitionsFunction",
    "DetectTransitionsLogs",
)
PARTS = ("iam", "lambda_runtime", "cloudwatch", "sqs", "streams")
OPEN_ROLE = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject"}


@dataclass(frozen=True)
class Front:
    """The deployed part of the stack; `names` are the physical names of its resources."""

    account: RunningAccount
    names: Mapping[str, str]

    def client(self, service: str) -> Any:
        return client(self.account, service)

    @property
    def role(self) -> str:
        found: str = self.client("iam").get_role(RoleName=self.names["UploaderRole"])["Role"]["Arn"]
        return found

    def put(self, identity: str, key: str, body: bytes = b"{}\n", **more: Any) -> None:
        self.s3_of(identity).put_object(Bucket=self.names["UploadsBucket"], Key=key, Body=body, **more)

    def s3_of(self, identity: str) -> Any:
        return uploader(self.account, self.role, {"identity": identity})

    def item(self, key: str) -> dict[str, Any] | None:
        """The item of an uploaded key."""
        identity = item_id(self.names["UploadsBucket"], key)
        found: dict[str, Any] | None = (
            self.client("dynamodb")
            .get_item(TableName=self.names["JobsTable"], Key={"id": {"S": identity}}, ConsistentRead=True)
            .get("Item")
        )
        return found

    def message(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        """The next message of the jobs queue, if it is wanted; it is taken out of the queue."""
        sqs = self.client("sqs")
        url = self.names["JobsQueue"]
        for one in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
            body: dict[str, Any] = json.loads(one["Body"])
            if wanted(body):
                return body
        return None


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with running_account(tmp_path_factory.mktemp("account"), parts=PARTS) as account:
        names = deploy_part(
            account,
            "hub",
            RESOURCES,
            Tracing="PassThrough",
            PythonRuntime="python3.11",
            MaxUploadMegabytes="1",
        )
        yield Front(account, names)


def _refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return str(refused.value.response["Error"]["Code"])


def test_an_upload_comes_to_the_workers_queue_with_no_api_in_between(front: Front) -> None:
    key = "uploads/lab-7/Befunde Müller + Söhne 100%.ndjson"
    front.put("lab-7", key)
    message = eventually(lambda: front.message(lambda one: one["attributes"].get("key") == key))
    assert message["rule"] == "upload-arrived"
    assert message["key"] == {"id": item_id(front.names["UploadsBucket"], key)}
    item = front.item(key)
    assert item is not None
    assert (item["phase"], item["identity"]) == ({"S": "UPLOADED"}, {"S": "lab-7"})
    assert message["attributes"]["etag"] == item["etag"]["S"]
    assert message["attributes"]["versionId"] == item["versionId"]["S"]


def test_a_deleted_upload_is_recorded_and_goes_to_nobody(front: Front) -> None:
    key = "uploads/lab-7/deleted"
    front.put("lab-7", key)
    eventually(lambda: front.item(key))
    front.client("s3").delete_object(Bucket=front.names["UploadsBucket"], Key=key)
    item = eventually(
        lambda: found if (found := front.item(key)) and found["phase"]["S"] == "DELETED" else None
    )
    assert "size" not in item


def test_an_upload_over_the_limit_is_recorded_as_rejected(front: Front) -> None:
    key = "uploads/lab-7/large"
    front.put("lab-7", key, b"x" * (1024 * 1024 + 1))
    item = eventually(lambda: front.item(key))
    assert (item["phase"]["S"], item["reason"]["S"]) == ("REJECTED", "TOO_LARGE")


def test_any_other_key_that_somebody_writes_is_recorded_as_rejected(front: Front) -> None:
    key = "elsewhere/file"
    front.client("s3").put_object(Bucket=front.names["UploadsBucket"], Key=key, Body=b"x")
    item = eventually(lambda: front.item(key))
    assert (item["phase"]["S"], item["reason"]["S"]) == ("REJECTED", "KEY_SHAPE")


@pytest.mark.parametrize("key", ["uploads/lab-8/file", "uploads/file", "uploads/lab-77/file", "file"])
def test_an_identity_reaches_its_own_prefix_alone(front: Front, key: str) -> None:
    assert _refusal(lambda: front.put("lab-7", key)) == "AccessDenied"


def test_who_uploads_may_neither_read_nor_list(front: Front) -> None:
    front.put("lab-7", "uploads/lab-7/own")
    bucket, s3 = front.names["UploadsBucket"], front.s3_of("lab-7")
    assert _refusal(lambda: s3.get_object(Bucket=bucket, Key="uploads/lab-7/own")) == "AccessDenied"
    assert _refusal(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="uploads/lab-7/")) == "AccessDenied"
    assert _refusal(lambda: s3.delete_object(Bucket=bucket, Key="uploads/lab-7/own")) == "AccessDenied"


@pytest.mark.parametrize(
    "tags", [(), (("identity", "lab-7/sub"),), (("identity", ""),), (("identity", "a"), ("more", "b"))]
)
def test_a_session_has_one_tag_that_names_one_prefix(front: Front, tags: tuple[tuple[str, str], ...]) -> None:
    assert _refusal(lambda: uploader(front.account, front.role, dict(tags))) == "AccessDenied"


def test_plain_http_is_refused(front: Front) -> None:
    s3 = front.s3_of("lab-7")
    s3.meta.events.register("before-sign.s3.PutObject", _over_http)
    refused = _refusal(
        lambda: s3.put_object(Bucket=front.names["UploadsBucket"], Key="uploads/lab-7/plain", Body=b"x")
    )
    assert refused == "AccessDenied"


def _over_http(request: Any, **_: Any) -> None:
    request.headers["X-Forwarded-Proto"] = "http"


def test_only_the_stacks_key_encrypts(front: Front) -> None:
    own = front.client("kms").describe_key(KeyId=front.names["HubKey"])["KeyMetadata"]["Arn"]
    other = own.rpartition("/")[0] + f"/{uuid.uuid4()}"
    key = "uploads/lab-7/encrypted"
    front.put("lab-7", key, ServerSideEncryption="aws:kms", SSEKMSKeyId=own)
    for asked in (
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": other},
        {"ServerSideEncryption": "AES256"},
    ):
        assert _refusal(lambda asked=asked: front.put("lab-7", key, **asked)) == "AccessDenied"  # type: ignore[misc]


def test_whoever_subscribes_to_the_topic_is_told_too(front: Front) -> None:
    """Without a change to the stack: the README shows the same with a queue of the user's own."""
    sqs, sns = front.client("sqs"), front.client("sns")
    url = sqs.create_queue(QueueName="archive")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = front.names["UploadsTopic"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    key = f"uploads/lab-7/{uuid.uuid4()}"
    front.put("lab-7", key)

    (told,) = eventually(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    (record,) = json.loads(told["Body"])["Records"]

    assert record["s3"]["object"]["key"] == key
    assert eventually(lambda: front.item(key))["phase"] == {"S": "UPLOADED"}


def test_batches_that_come_again_send_each_transition_once(front: Front) -> None:
    keys = {f"uploads/lab-9/{uuid.uuid4()}" for _ in range(5)}
    _faults(front, repeat=1)
    try:
        for key in keys:
            front.put("lab-9", key)
        for key in keys:
            eventually(lambda key=key: front.item(key))  # type: ignore[misc]
        came: list[str] = []

        def all_came() -> bool:
            message = front.message(lambda one: one["attributes"].get("key") in keys)
            came.extend([message["attributes"]["key"]] if message else [])
            return keys <= set(came)

        eventually(all_came, 30)
        # behind it in the queue there is nothing that came before
        last = f"uploads/lab-9/{uuid.uuid4()}"
        front.put("lab-9", last)
        keys.add(last)
        eventually(lambda: all_came() and last in came, 30)
    finally:
        _faults(front, repeat=0)
    assert sorted(came) == sorted(keys)


def _faults(front: Front, **asked: float) -> None:
    request = urllib.request.Request(
        f"{front.account.endpoint}/_local/streams/faults", json.dumps(asked).encode(), method="POST"
    )
    urllib.request.urlopen(request).close()


def test_a_record_that_fails_in_every_try_ends_whole_in_the_bucket_and_holds_up_nobody(
    front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    """The object that one job's transition would become is refused; the others come before and behind it."""
    bucket, table = front.names["HubBucket"], front.names["JobsTable"]
    s3, dynamodb, functions = front.client("s3"), front.client("dynamodb"), front.client("lambda")
    stream = dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (mapping,) = functions.list_event_source_mappings(EventSourceArn=stream)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], MaximumRetryAttempts=2)
    before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    document = json.loads(before)
    poisoned = _group("JOB#poison")
    resource = f"arn:aws:s3:::{bucket}/transitions/tests-complete/{poisoned}/*"
    document["Statement"].append({**OPEN_ROLE, "Sid": "Poison", "Resource": resource})
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))

    for item in ("JOB#1", "JOB#poison", "JOB#2", "JOB#3"):
        phases = {"id": {"S": item}, "itemType": {"S": "Job"}, "phase": {"S": "TESTS_COMPLETE"}}
        dynamodb.put_item(TableName=table, Item={**phases, "note": {"S": "whole"}})

    kept = eventually(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="aws/lambda/").get("Contents"), 60)
    failures = [json.load(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"]) for one in kept]
    records = [record for one in failures for record in _payload(one)["Records"]]
    assert "JOB#poison" in {record["dynamodb"]["Keys"]["id"]["S"] for record in records}
    assert all(record["dynamodb"]["NewImage"]["note"] == {"S": "whole"} for record in records)
    for item in ("JOB#1", "JOB#2", "JOB#3"):
        prefix = f"transitions/tests-complete/{_group(item)}/"
        eventually(lambda prefix=prefix: s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents"))  # type: ignore[misc]

    eventually(lambda: _sum(front, "TransitionRecordsFailed"))

    # what lies there is sent on once the cause is mended, and stays until then
    hub = DeployedHub(front.account, "hub", {"HubBucketName": bucket})
    assert list_given_up(hub, Output()) == 0
    assert resend(hub, Output()) == 1
    told = capsys.readouterr().out
    assert "RetryAttemptsExhausted" in told
    assert "records were not sent on" in told
    assert "whole" not in told
    s3.put_bucket_policy(Bucket=bucket, Policy=before)
    assert resend(hub, Output()) == 0
    prefix = f"transitions/tests-complete/{poisoned}/"
    assert s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"] == 1
    assert s3.list_objects_v2(Bucket=bucket, Prefix="aws/lambda/")["KeyCount"] == 0


def _sum(front: Front, metric: str) -> float:
    """The sum of a metric of the functions in the last hour, which the alarm on it looks at."""
    now = datetime.now(UTC)
    found = front.client("cloudwatch").get_metric_statistics(
        Namespace="HealthLakeHub",
        MetricName=metric,
        Dimensions=[{"Name": "service", "Value": "hub"}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return float(sum(one["Sum"] for one in found["Datapoints"]))


def _payload(failure: Mapping[str, Any]) -> dict[str, Any]:
    """The call that failed, as Lambda keeps it."""
    written = failure["payload"]
    found: dict[str, Any] = json.loads(written) if isinstance(written, str) else written
    return found


def _group(item: str) -> str:
    return group_of({"dynamodb": {"Keys": {"id": {"S": item}}}}) or ""
