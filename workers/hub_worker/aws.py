"""The worker's AWS clients, with calls that end well before the worker would count as stuck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 4},
)

CALL_FAILED = (BotoCoreError, ClientError, HTTPClientError)
"""What a call raises that was refused, timed out or never arrived."""


@dataclass(frozen=True)
class Clients:
    """One client for each service that the worker calls; the SDK takes the instance role's credentials."""

    sqs: SQSClient
    s3: S3Client
    dynamodb: DynamoDBClient


def make_clients() -> Clients:
    """Clients for the region and credentials of the environment."""
    session = boto3.Session()
    return Clients(
        session.client("sqs", config=_CONFIG),
        session.client("s3", config=_CONFIG),
        session.client("dynamodb", config=_CONFIG),
    )


def error_code(error: BaseException) -> str:
    """What an AWS call was refused with, or the name of another error; never its text."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "Unknown"))
    return type(error).__name__
