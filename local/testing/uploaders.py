"""Those who upload, for tests: sessions of the uploader role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3

from local.account.clients import CONFIG, client
from local.account.state_file import RunningAccount


def uploader(account: RunningAccount, role_arn: str, tags: Mapping[str, str]) -> Any:
    """S3 for a session of the role with these tags. Raises ClientError when they are refused."""
    given = client(account, "sts").assume_role(
        RoleArn=role_arn,
        RoleSessionName="uploads",
        Tags=[{"Key": name, "Value": value} for name, value in tags.items()],
    )["Credentials"]
    session = boto3.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=account.region,
    )
    return session.client("s3", endpoint_url=account.endpoint, config=CONFIG)
