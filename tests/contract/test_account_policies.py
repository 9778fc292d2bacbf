"""IAM in the local account: roles are enforced, by tags of queues too, and bucket policies see what is secure
transport.

AWS documentation: «AWS global condition context keys» (aws:SecureTransport, aws:ResourceTag), «Policy
evaluation logic», «ABAC condition keys for Amazon SQS».
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.lambda_runtime.testing import Functions

PUTS_AN_OBJECT = """
import boto3
def handler(event, context):
    boto3.client("s3").put_object(Bucket="role-bucket", Key="key", Body=b"x")
    return "written"
"""


TAKES_A_MESSAGE = """
import boto3
def handler(event, context):
    boto3.client("sqs").receive_message(QueueUrl=event)
    return "received"
"""

OF_DEAD_LETTERS = {
    "Effect": "Allow",
    "Action": "sqs:ReceiveMessage",
    "Resource": "*",
    "Condition": {
        "StringEquals": {"aws:ResourceTag/redrive-stack": "hub"},
        "Null": {"aws:ResourceTag/redrive-kind": "false"},
    },
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("lambda_runtime",)) as account:
        client(account, "s3").create_bucket(Bucket="role-bucket")
        yield account


def test_a_function_may_do_what_its_role_allows(account: RunningAccount) -> None:
    functions = Functions(account)
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::role-bucket/*"}
    functions.create("may", functions.role("may", (allowed,)), PUTS_AN_OBJECT)

    assert functions.invoke("may").payload == "written"


def test_a_function_may_not_do_what_its_role_does_not_allow(account: RunningAccount) -> None:
    functions = Functions(account)
    functions.create("may-not", functions.role("may-not"), PUTS_AN_OBJECT)

    answer = functions.invoke("may-not")

    assert answer.function_error == "Unhandled"
    assert "(AccessDenied) when calling the PutObject operation" in answer.payload["errorMessage"]


@pytest.fixture(scope="module")
def taker(account: RunningAccount) -> Functions:
    """A function that may take messages of queues with the tags of the stack's dead-letter queues."""
    functions = Functions(account)
    functions.create("taker", functions.role("taker", (OF_DEAD_LETTERS,)), TAKES_A_MESSAGE)
    return functions


def _queue(account: RunningAccount, name: str, **tags: str) -> str:
    written = {f"redrive-{name}": value for name, value in tags.items()}
    url: str = client(account, "sqs").create_queue(QueueName=name, tags=written)["QueueUrl"]
    return url


def test_a_right_on_tagged_queues_covers_them(account: RunningAccount, taker: Functions) -> None:
    assert taker.invoke("taker", _queue(account, "dead", stack="hub", kind="sqs")).payload == "received"


@pytest.mark.parametrize(
    ("name", "tags"),
    [("work", {"stack": "hub"}), ("others", {"stack": "hub-prod", "kind": "sqs"}), ("bare", {})],
)
def test_a_right_on_tagged_queues_covers_no_others(
    account: RunningAccount, taker: Functions, name: str, tags: dict[str, str]
) -> None:
    answer = taker.invoke("taker", _queue(account, name, **tags))

    assert "(AccessDenied) when calling the ReceiveMessage" in answer.payload["errorMessage"]


def test_a_wrong_secret_is_refused(account: RunningAccount) -> None:
    from dataclasses import replace

    impostor = replace(account, secret_access_key="guessed")

    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(impostor, "s3").list_buckets()


@pytest.fixture(scope="module")
def https_only_bucket(account: RunningAccount) -> str:
    s3 = client(account, "s3")
    s3.create_bucket(Bucket="https-only")
    arn = "arn:aws:s3:::https-only"
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(
        Bucket="https-only", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    return "https-only"


def test_a_request_over_loopback_counts_as_secure_transport(
    account: RunningAccount, https_only_bucket: str
) -> None:
    answer = client(account, "s3").put_object(Bucket=https_only_bucket, Key="key", Body=b"x")

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_request_that_is_not_secure_is_refused_by_the_bucket_policy(
    account: RunningAccount, https_only_bucket: str
) -> None:
    s3 = client(account, "s3")
    s3.meta.events.register("before-sign.s3", _came_by_plain_http)

    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=https_only_bucket, Key="key", Body=b"x")


def _came_by_plain_http(request: Any, **_: object) -> None:
    """What a proxy says of a request that reached it without TLS."""
    request.headers["X-Forwarded-Proto"] = "http"
