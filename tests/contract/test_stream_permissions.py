"""Reading a stream takes rights on the stream, as the Service Authorization Reference has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("streams",)) as running:
        yield running


def table(account: RunningAccount, name: str) -> str:
    """A table with one item and a stream; returns the stream's ARN."""
    dynamodb = client(account, "dynamodb")
    made = dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    dynamodb.put_item(TableName=name, Item={"id": {"S": "a"}})
    arn: str = made["TableDescription"]["LatestStreamArn"]
    return arn


def reader_of(account: RunningAccount, stream: str) -> Any:
    """A client of a user who may read one stream, and nothing else."""
    iam = client(account, "iam")
    iam.create_user(UserName="reader")
    actions = ["dynamodb:GetShardIterator", "dynamodb:GetRecords"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": stream}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=account.region)
    return session.client("dynamodbstreams", endpoint_url=account.endpoint)


def first_records(streams: Any, arn: str) -> list[Any]:
    iterator = streams.get_shard_iterator(
        StreamArn=arn, ShardId="shardId-00000000000000000000-00000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records: list[Any] = streams.get_records(ShardIterator=iterator)["Records"]
    return records


def test_a_stream_is_read_with_rights_on_it_and_another_is_not(account: RunningAccount) -> None:
    own, other = table(account, "own"), table(account, "other")
    streams = reader_of(account, own)

    assert len(first_records(streams, own)) == 1
    with pytest.raises(ClientError) as refused:
        first_records(streams, other)

    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
