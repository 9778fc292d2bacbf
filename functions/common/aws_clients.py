"""Cached factories of AWS clients: one client per service and execution environment, made when first used.

Retries are botocore's standard mode; what a caller must retry itself (entries that PutEvents refused,
transaction conflicts) it does where it knows what a second try means.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_healthlake import HealthLakeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=16,
)


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()


@cache
def _client(service: Any) -> Any:
    return _session().client(service, config=_CONFIG)


def dynamodb() -> DynamoDBClient:
    client: DynamoDBClient = _client("dynamodb")
    return client


def events() -> EventBridgeClient:
    client: EventBridgeClient = _client("events")
    return client


def healthlake() -> HealthLakeClient:
    client: HealthLakeClient = _client("healthlake")
    return client


def s3() -> S3Client:
    client: S3Client = _client("s3")
    return client


def sqs() -> SQSClient:
    client: SQSClient = _client("sqs")
    return client


def stepfunctions() -> SFNClient:
    client: SFNClient = _client("stepfunctions")
    return client


def session() -> boto3.session.Session:
    """The session behind the clients, for signing requests that no client knows."""
    return _session()


def forget_clients() -> None:
    """Drop every cached client, so that the next one is made from the environment as it is then."""
    _client.cache_clear()
    _session.cache_clear()
