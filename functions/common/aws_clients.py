"""Cached factories of AWS clients: one client per service and execution environment, made by its first call.

A cold start pays for every client and every import (`make bench`). So a client is not made where a function
only hands it on, botocore is asked for it without boto3's resources and transfers, which nothing here uses,
nothing searches the descriptions of the services that there are, and Python looks for no garbage among them.

Retries are botocore's standard mode; what a caller must retry itself (entries that PutEvents refused,
transaction conflicts) it does where it knows what a second try means. Clients whose names end with `_once`
make one attempt, for calls after which it has to be known whether they were made: of several attempts the
last alone is seen.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_healthlake import HealthLakeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=16,
)

_ONCE = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))

LONGEST_ANSWER_SECONDS = 170
"""How long an invocation is waited for: less than the three minutes for which a redrive hides messages."""

_INVOKING = _ONCE.merge(Config(read_timeout=LONGEST_ANSWER_SECONDS))


_SERVICES = (
    "dynamodb",
    "dynamodbstreams",
    "events",
    "firehose",
    "healthlake",
    "lambda",
    "pipes",
    "s3",
    "scheduler",
    "sqs",
    "stepfunctions",
)

_making = Lock()


class _HubServices(Loader):
    """Loads the descriptions of services as botocore does, without looking first which of 400 there are, by
    a thousand questions to the disk for each kind of description."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
        """The services of the hub, whatever is asked about them."""
        return list(_SERVICES)


class _ClientWhenUsed:
    """The client of a service, made when an attribute of it is first asked for, by whichever thread."""

    def __init__(self, service: str, config: Config) -> None:
        self._service = service
        self._config = config

    def __getattr__(self, name: str) -> Any:
        with _making:
            client = _made(self._service, self._config)
        return getattr(client, name)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Leave what is made inside out of every later search for garbage."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@cache
def _descriptions() -> Loader:
    """The descriptions of services, which outlive the clients: reading them takes most of what one costs."""
    return _HubServices()


@cache
def _session() -> botocore.session.Session:
    session = botocore.session.get_session()
    session.register_component("data_loader", _descriptions())
    return session


@cache
def _made(service: str, config: Config) -> Any:
    with _without_collecting():
        return _session().create_client(service, config=config)


@cache
def _client(service: str, config: Config = _CONFIG) -> Any:
    return _ClientWhenUsed(service, config)


def dynamodb() -> DynamoDBClient:
    client: DynamoDBClient = _client("dynamodb")
    return client


def dynamodb_streams() -> Any:
    return _client("dynamodbstreams")


def events() -> EventBridgeClient:
    client: EventBridgeClient = _client("events")
    return client


def events_once() -> EventBridgeClient:
    client: EventBridgeClient = _client("events", _ONCE)
    return client


def firehose() -> Any:
    return _client("firehose")


def firehose_once() -> Any:
    return _client("firehose", _ONCE)


def healthlake() -> HealthLakeClient:
    client: HealthLakeClient = _client("healthlake")
    return client


def functions_once() -> LambdaClient:
    client: LambdaClient = _client("lambda", _INVOKING)
    return client


def pipes() -> Any:
    return _client("pipes")


def s3() -> S3Client:
    client: S3Client = _client("s3")
    return client


def scheduler() -> Any:
    return _client("scheduler")


def sqs() -> SQSClient:
    client: SQSClient = _client("sqs")
    return client


def sqs_once() -> SQSClient:
    client: SQSClient = _client("sqs", _ONCE)
    return client


def stepfunctions() -> SFNClient:
    client: SFNClient = _client("stepfunctions")
    return client


def session() -> botocore.session.Session:
    """The session behind the clients, for signing requests that no client knows."""
    return _session()


def forget_clients() -> None:
    """Drop every cached client, so that the next one is made from the environment as it is then. What was
    left out of searches for garbage with them is garbage now."""
    _client.cache_clear()
    _made.cache_clear()
    _session.cache_clear()
    gc.unfreeze()
