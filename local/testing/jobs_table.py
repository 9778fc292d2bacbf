"""The table of uploads and jobs and the queue of transitions, in the account that moto mocks now."""

from __future__ import annotations

import boto3

from local.testing.mocked_hub import REGION

JOBS_TABLE = "hub-jobs"


def create_jobs_table() -> None:
    """The table, with its stream."""
    boto3.client("dynamodb", REGION).create_table(
        TableName=JOBS_TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


def create_jobs_queue() -> str:
    """The queue's URL."""
    created = boto3.client("sqs", REGION).create_queue(
        QueueName="jobs.fifo",
        Attributes={
            "FifoQueue": "true",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        },
    )
    return created["QueueUrl"]
