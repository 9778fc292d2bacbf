"""boto3 clients for the tasks of state machines: at the local account, with sessions of the machine's role.

AWS documentation: "How Step Functions accesses other services with IAM".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config

from local.stepfunctions.mending.service_clients import CLIENT_CONFIG, with_request_ids

# Answers a role's ARN and a region with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
Credentials = Callable[[str, str], Mapping[str, str]]


class RoleClients:
    """One client per service, region and role; `forget` when the account forgets its sessions."""

    def __init__(self, endpoint_url: str, credentials: Credentials) -> None:
        self._endpoint_url = endpoint_url
        self._credentials = credentials
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, str], Any] = {}

    def client(self, service: str, region: str, role_arn: str) -> Any:
        """A client of the service with the credentials of the role."""
        key = (service, region, role_arn)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._new_client(*key)
            return self._clients[key]

    def forget(self) -> None:
        """Make new clients, with new sessions, from now on."""
        with self._lock:
            self._clients.clear()

    def _new_client(self, service: str, region: str, role_arn: str) -> Any:
        role = self._credentials(role_arn, region)
        session: Any = boto3.session.Session()
        made = session.client(
            service,
            region_name=region,
            endpoint_url=self._endpoint_url,
            aws_access_key_id=role["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=role["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=role["AWS_SESSION_TOKEN"] or None,
            config=CLIENT_CONFIG.merge(Config(s3={"addressing_style": "path"})),
        )
        return with_request_ids(made)
