"""Mends with whose credentials, and where, the tasks of a state machine call AWS services.

moto calls a fixed port with made-up credentials. Here whoever embeds the engine provides the clients: the
local account with sessions of the state machine's role, a test bench with its own.
AWS documentation: "How Step Functions accesses other services with IAM".
"""

from __future__ import annotations

import threading
import uuid
from functools import cache
from typing import Any, Protocol

import botocore.session
from botocore.config import Config
from botocore.loaders import Loader, create_loader
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_factory,
)
from moto.stepfunctions.parser.asl.parse import asl_parser
from moto.stepfunctions.parser.asl.utils import boto_client

from local.stepfunctions.patching import replace, replace_imports

CLIENT_CONFIG = Config(
    # The service checks parameters, so that its error name reaches the state machine.
    parameter_validation=False,
    retries={"max_attempts": 0, "total_max_attempts": 1},
    connect_timeout=10,
    read_timeout=930,
    max_pool_connections=64,
)


class ServiceClients(Protocol):
    """Where the tasks of state machines get their boto3 clients."""

    def client(self, service: str, region: str, role_arn: str) -> Any:
        """A client of the service with the credentials of the role."""


class AmbientClients:
    """Clients with whatever credentials and endpoints boto3 finds, one per service and region."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str, role_arn: str) -> Any:  # noqa: ARG002 (ambient credentials)
        """A client of the service."""
        with self._lock:
            if (service, region) not in self._clients:
                made = _new_client(service, region_name=region, config=CLIENT_CONFIG)
                self._clients[service, region] = with_request_ids(made)
            return self._clients[service, region]


@cache
def _descriptions() -> Loader:
    """The descriptions of services, which are the same for all sessions: reading them takes most of what a
    client costs."""
    return create_loader()


def _new_client(service: str, **options: Any) -> Any:
    session = botocore.session.get_session()
    session.register_component("data_loader", _descriptions())
    return session.create_client(service, **options)


def with_request_ids(client: Any) -> Any:
    """The client, whose answers always carry the request id that failure causes quote."""

    def add_request_id(parsed: Any, **_: Any) -> None:
        if isinstance(parsed, dict):
            parsed.setdefault("ResponseMetadata", {}).setdefault("RequestId", str(uuid.uuid4()))

    client.meta.events.register("after-call", add_request_id)
    return client


_in_use: list[ServiceClients] = [AmbientClients()]


def use(clients: ServiceClients | None) -> None:
    """Let the tasks of every engine in this process get clients here; None: the ambient ones."""
    _in_use[0] = clients or AmbientClients()


def _boto_client_for(region: str, service: str, state_credentials: Any = None) -> Any:
    return _in_use[0].client(service, region, getattr(state_credentials, "role_arn", ""))


def install() -> None:
    """Put the mended behaviour in place."""
    # Both import the task types, whose modules hold the function by name.
    assert asl_parser
    assert state_task_service_factory
    replace(boto_client, "boto_client_for", _boto_client_for)
    replace_imports(boto_client, "boto_client_for", "moto.stepfunctions.parser")
