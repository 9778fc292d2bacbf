"""boto3 clients of the local account, with its own credentials and none of the user's."""

import os
import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from local.account.settings import without_foreign_variables
from local.account.state_file import RunningAccount

# Waiting calls (long polling, synchronous invocations) outlast the usual minute.
CONFIG = Config(
    connect_timeout=5,
    read_timeout=920,
    max_pool_connections=32,
    retries={"mode": "standard", "total_max_attempts": 3},
)


def forget_foreign_settings() -> None:
    """Remove from this process what would make an SDK use an AWS identity or endpoint of the user's.

    The user's shell, files and profiles stay as they are.
    """
    clean = without_foreign_variables(os.environ)
    for name in set(os.environ) - set(clean):
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ |= {name: clean[name] for name in ("NO_PROXY", "no_proxy")}


def session(account: RunningAccount) -> boto3.Session:
    """A session with the credentials of the account's deploying user."""
    return boto3.Session(
        aws_access_key_id=account.access_key_id,
        aws_secret_access_key=account.secret_access_key,
        region_name=account.region,
    )


_making = threading.Lock()


@cache
def _shared_session(account: RunningAccount) -> boto3.Session:
    """The session of all clients: it has read the descriptions of services that others need, too."""
    return session(account)


def client(account: RunningAccount, service: str) -> Any:
    """A client of the service in the local account."""
    # sessions are not made for several threads, clients are
    with _making:
        return _shared_session(account).client(  # type: ignore[call-overload]
            service, endpoint_url=account.endpoint, config=CONFIG
        )
