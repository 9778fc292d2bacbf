"""The account that a command works in: the local one, or a real one by the user's AWS environment."""

import os
from typing import Any

import boto3
from botocore.config import Config

from local.account.clients import client as local_client
from local.account.clients import session as local_session
from local.account.settings import ACCOUNT_ID
from local.account.state_file import RunningAccount
from local.cli.errors import CommandError

_CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 5})


class AwsAccount:
    """An AWS account as the environment, a profile and a region choose it.

    Follows «Boto3: Credentials» and «Configuration», AWS_ENDPOINT_URL included.
    """

    def __init__(self, session: boto3.Session, account_id: str, caller: str) -> None:
        self._session = session
        self.account_id = account_id
        self.caller = caller
        self.endpoint = os.environ.get("AWS_ENDPOINT_URL")

    @classmethod
    def chosen_by(cls, profile: str | None, region: str | None) -> "AwsAccount":
        """The account of the profile, or of the environment; raises CommandError when no region is chosen."""
        session = boto3.Session(profile_name=profile, region_name=region)
        if session.region_name is None:
            raise CommandError("No AWS region is chosen.", "Name it with --region, or set AWS_REGION.")
        identity = session.client("sts", config=_CONFIG).get_caller_identity()
        return cls(session, identity["Account"], identity["Arn"])

    @property
    def region(self) -> str:
        return self._session.region_name

    @property
    def session(self) -> boto3.Session:
        return self._session

    def client(self, service: str) -> Any:
        """A client of the service in this account."""
        return self._session.client(service, config=_CONFIG)  # type: ignore[call-overload]


Account = RunningAccount | AwsAccount


def client(account: Account, service: str) -> Any:
    """A client of the service in the account."""
    return account.client(service) if isinstance(account, AwsAccount) else local_client(account, service)


def session(account: Account) -> boto3.Session:
    """A session with the account's region and credentials, for requests that boto3 does not know."""
    return account.session if isinstance(account, AwsAccount) else local_session(account)


def account_id(account: Account) -> str:
    """The account's number, twelve digits."""
    return account.account_id if isinstance(account, AwsAccount) else ACCOUNT_ID


def named(account: Account) -> str:
    """The account as sentences name it, with its region."""
    if isinstance(account, AwsAccount):
        at = f" at {account.endpoint}" if account.endpoint else ""
        return f"AWS account {account.account_id} in {account.region}{at}"
    return f"the local account in {account.region} at {account.endpoint}"
