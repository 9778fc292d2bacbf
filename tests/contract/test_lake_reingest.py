"""What lies below the lake's error prefix is listed with its reason, ingested again, and gone from there."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.account.clients import client
from local.account.host import python_runtime
from local.account.testing import running_account
from local.cli.lake.command import list_errors, reingest
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.stack import outputs
from local.firehose.testing import TRUST
from local.lambda_runtime.testing import TRUST as LAMBDA_TRUST
from local.testing.patience import PATIENCE_SECONDS

# Makes a row of a record only when the record says that it has been mended.
MAKES_ROWS = """
def handler(records, context):
    refused = {"malformed": "KEYS_NOT_THOSE_OF_RECORDS"}
    return [one["row"] if "row" in one else {**refused, "record": one} for one in records]
"""
ROW = {
    "event_id": "0123456789abcdef0123456789abcdef",
    "change": "INSERT",
    "item_type": "Patient",
    "item_id": "p",
    "sk": "PATIENT",
    "stream_label": "2026-11-20T09:00:00.000",
    "sequence_number": "1",
    "event_time": "2026-11-20 12:00:00.000",
    "item": '{"n":1.10}',
    "old_item": None,
}
KEY = "records-errors/processing-failed/dt=2026-11-20-12/rows"


def _role(trust: Any, action: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    policy = {"PolicyName": "All", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": trust, "Policies": [policy]},
    }


TEMPLATE = {
    "Resources": {
        "LakeBucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {"VersioningConfiguration": {"Status": "Enabled"}},
        },
        "StreamRole": _role(TRUST, "s3:*"),
        "FunctionRole": _role(LAMBDA_TRUST, "logs:*"),
        "LakeRowsStream": {
            "Type": "AWS::KinesisFirehose::DeliveryStream",
            "Properties": {
                "ExtendedS3DestinationConfiguration": {
                    "BucketARN": {"Fn::GetAtt": ["LakeBucket", "Arn"]},
                    "RoleARN": {"Fn::GetAtt": ["StreamRole", "Arn"]},
                    "Prefix": "records/",
                    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 0},
                }
            },
        },
        "PrepareLakeRowsFunction": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Handler": "index.handler",
                "Runtime": python_runtime(),
                "Role": {"Fn::GetAtt": ["FunctionRole", "Arn"]},
                "Code": {"ZipFile": MAKES_ROWS},
            },
        },
    },
    "Outputs": {"LakeBucketName": {"Value": {"Ref": "LakeBucket"}}},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedHub]:
    parts = ("lambda_runtime", "firehose")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        cloudformation = client(account, "cloudformation")
        cloudformation.create_stack(
            StackName="hub", TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_IAM"]
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName="hub", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        yield DeployedHub(account, "hub", outputs(account, "hub"))


def failed(hub: DeployedHub, *contents: Any, key: str = KEY) -> None:
    """An error object as Firehose writes it."""
    lines = [
        {
            "attemptsMade": 1,
            "arrivalTimestamp": 1795176010000,
            "errorCode": "Lambda.ProcessingFailedStatus",
            "errorMessage": "ProcessingFailed status set for record",
            "attemptEndingTimestamp": 1795176070000,
            "rawData": base64.b64encode(json.dumps(one).encode()).decode(),
            "lambdaARN": "arn:aws:lambda:us-east-1:000000000000:function:f",
        }
        for one in contents
    ]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    hub.client("s3").put_object(Bucket=hub.lake_bucket, Key=key, Body=body)


def remaining(hub: DeployedHub) -> dict[str, int]:
    """The error objects, and how many records each has."""
    s3 = hub.client("s3")
    listed = s3.list_objects_v2(Bucket=hub.lake_bucket, Prefix="records-errors/").get("Contents", [])
    return {
        entry["Key"]: len(s3.get_object(Bucket=hub.lake_bucket, Key=entry["Key"])["Body"].read().splitlines())
        for entry in listed
    }


def ingested(hub: DeployedHub, count: int) -> list[Any]:
    """The rows that have come into the lake, which is empty then."""
    s3, deadline = hub.client("s3"), time.monotonic() + PATIENCE_SECONDS
    rows: list[Any] = []
    while len(rows) < count and time.monotonic() < deadline:
        time.sleep(0.05)
        for entry in s3.list_objects_v2(Bucket=hub.lake_bucket, Prefix="records/").get("Contents", []):
            body = s3.get_object(Bucket=hub.lake_bucket, Key=entry["Key"])["Body"].read().decode()
            s3.delete_object(Bucket=hub.lake_bucket, Key=entry["Key"])
            decoder, at = json.JSONDecoder(), 0
            while at < len(body):
                row, at = decoder.raw_decode(body, at)
                rows.append(row)
    return rows


def told(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_records_are_listed_with_their_reasons_and_never_what_they_say(
    hub: DeployedHub, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(
        hub, {**ROW, "item_type": "Marker"}, {"malformed": "IMAGE_MISSING", "record": {"x": "Marker"}}, ROW
    )

    assert list_errors(hub, Output()) == 0

    said = told(capsys)
    assert "ITEM_TYPE_NOT_DECLARED" in said
    assert "IMAGE_MISSING" in said
    assert "Marker" not in said
    assert KEY in said


def test_what_is_a_row_goes_into_the_stream_again_as_it_was_and_its_object_is_gone(hub: DeployedHub) -> None:
    failed(hub, ROW, {**ROW, "sequence_number": "2"})

    assert reingest(hub, Output()) == 0

    assert remaining(hub) == {}
    assert {row["sequence_number"]: row["item"] for row in ingested(hub, 2)} == {
        "1": '{"n":1.10}',
        "2": '{"n":1.10}',
    }


def test_a_malformed_record_is_made_a_row_of_when_the_function_knows_how_by_now(hub: DeployedHub) -> None:
    failed(hub, {"malformed": "KEYS_NOT_THOSE_OF_RECORDS", "record": {"row": ROW}})

    assert reingest(hub, Output()) == 0

    assert (remaining(hub), ingested(hub, 1)) == ({}, [ROW])


def test_what_is_still_wrong_stays_alone_and_the_command_says_so(
    hub: DeployedHub, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"malformed": "KEYS_NOT_THOSE_OF_RECORDS", "record": {}}
    failed(hub, ROW, wrong, {**ROW, "event_time": "yesterday"})

    assert reingest(hub, Output()) == 1

    assert remaining(hub) == {KEY: 2}
    assert ingested(hub, 1) == [ROW]
    said = told(capsys)
    assert "1 record stayed: KEYS_NOT_THOSE_OF_RECORDS" in said
    assert "1 record stayed: TIME_NOT_READABLE" in said


def test_a_row_that_no_answer_of_a_function_can_hold_does_not_go_round(hub: DeployedHub) -> None:
    failed(hub, {"reference": {"bucket": "b", "key": "changes/rows/a.json", "length": 6_000_000}})

    assert reingest(hub, Output()) == 1

    assert remaining(hub) == {KEY: 1}
    hub.client("s3").delete_object(Bucket=hub.lake_bucket, Key=KEY)


def test_only_the_objects_that_are_named_are_ingested(hub: DeployedHub) -> None:
    failed(hub, ROW)
    failed(hub, ROW, key=f"{KEY}-2")

    assert reingest(hub, Output(), key=f"{KEY}-2") == 0

    assert remaining(hub) == {KEY: 1}
    assert ingested(hub, 1) == [ROW]
