"""HealthLake's own calls into the account: over HTTP to the account's port, with the proper credentials."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config

from local.account.role_sessions import role_session

_CONFIG = Config(
    retries={"max_attempts": 3, "mode": "standard"},
    s3={"addressing_style": "path"},
    # The account is on this machine, whatever proxy the environment names for the world outside.
    proxies={},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class RoleClients:
    """boto3 clients that act as a role, and ones that act as the account itself; safe for threads.

    They try again like any client of an application, unlike those of state machines, whose errors are for
    the retriers of the state machine to see.
    """

    def __init__(self, endpoint: str, region: str, account_id: str) -> None:
        self._endpoint = endpoint
        self._region = region
        self._account_id = account_id
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    def own(self, service: str) -> Any:
        """A client with the account's root credentials, for what HealthLake does on its own behalf."""
        return self._client(service, "test", "test", None)

    def as_role(self, service: str, role_arn: str) -> Any:
        """A client with a session of the role, registered anew each time: a reset forgets sessions."""
        credentials = role_session("healthlake", role_arn, self._region, self._account_id)
        return self._client(
            service,
            credentials["AWS_ACCESS_KEY_ID"],
            credentials["AWS_SECRET_ACCESS_KEY"],
            credentials["AWS_SESSION_TOKEN"] or None,
        )

    def put_object(self, bucket: str, key: str, body: bytes, role_arn: str) -> None:
        """Store an object as the role."""
        self.as_role("s3", role_arn).put_object(Bucket=bucket, Key=key, Body=body)

    def list_keys(self, bucket: str, prefix: str, role_arn: str) -> Iterator[str]:
        """Keys under a prefix, as the role sees them."""
        pages = self.as_role("s3", role_arn).get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield str(entry["Key"])

    def get(self, bucket: str, key: str, role_arn: str) -> bytes:
        """An object's bytes, as the role may read them."""
        body: bytes = self.as_role("s3", role_arn).get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def _client(self, service: str, access_key: str, secret: str, token: str | None) -> Any:
        with self._lock:
            if (service, access_key) not in self._clients:
                session = boto3.Session(
                    aws_access_key_id=access_key,
                    aws_secret_access_key=secret,
                    aws_session_token=token,
                    region_name=self._region,
                )
                self._clients[service, access_key] = session.client(  # type: ignore[call-overload]
                    service, endpoint_url=self._endpoint, config=_CONFIG
                )
            return self._clients[service, access_key]
