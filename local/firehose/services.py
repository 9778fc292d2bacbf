"""The services that a delivery stream calls, with the rights of its role.

AWS documentation: «Controlling access with Amazon Data Firehose»; AWS Glue Developer Guide, «Specifying AWS
Glue resource ARNs»: who reads a table may do so of the table, its database and the catalog.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from local.firehose.conversion import Columns
from local.firehose.destinations import Destination
from local.firehose.records import Failure
from local.firehose.transformation import ACCESS_DENIED, FUNCTION_ERROR
from local.streams.role_calls import CallFailed, RoleCalls

ANSWER_LIMIT = 6_291_556
"""Bytes that a function may answer a synchronous call with («Lambda quotas»)."""

_NO_RIGHTS = ("AccessDeniedException", "AccessDenied")


class Undelivered(Exception):
    """A service refused, for now; the message names the error and no data."""


class Services(Protocol):
    """What delivery needs of the account."""

    def invoke(self, destination: Destination, payload: bytes) -> Any | Failure:
        """The function's answer, or why there is none."""

    def columns(self, destination: Destination) -> Columns | None:
        """The columns of the table of the schema, None where there is no such table; raises Undelivered."""

    def put_object(self, destination: Destination, key: str, body: bytes) -> None:
        """Store an object; raises Undelivered."""

    def log(self, destination: Destination, code: str, message: str) -> None:
        """Tell the stream's log group, where one is configured."""


@dataclass(frozen=True)
class AccountServices:
    """The account's own services; `clients` has them with sessions of roles."""

    clients: Any

    def invoke(self, destination: Destination, payload: bytes) -> Any | Failure:
        assert destination.transformation is not None
        client = self._client(destination, "lambda")
        try:
            answer = client.invoke(FunctionName=destination.transformation.function_arn, Payload=payload)
            body = answer["Payload"].read()
        except ClientError as error:
            return ACCESS_DENIED if error.response["Error"]["Code"] in _NO_RIGHTS else FUNCTION_ERROR
        except BotoCoreError:
            return FUNCTION_ERROR
        if answer.get("FunctionError") or len(body) > ANSWER_LIMIT:
            return FUNCTION_ERROR
        try:
            return json.loads(body or b"null")
        except ValueError:
            return FUNCTION_ERROR

    def columns(self, destination: Destination) -> Columns | None:
        schema: Mapping[str, Any] = (destination.conversion or {}).get("SchemaConfiguration") or {}
        role_arn = schema.get("RoleARN") or destination.role_arn
        database, name = schema.get("DatabaseName", ""), schema.get("TableName", "")
        # not in the context of whoever asks for a flush, without credentials of its own
        Context().run(_require_table, destination, role_arn, database, name)
        client = self.clients.client("glue", destination.region, role_arn)
        try:
            table = client.get_table(DatabaseName=database, Name=name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "EntityNotFoundException":
                return None
            raise Undelivered(f"Glue.{error.response['Error']['Code']}") from None
        except BotoCoreError as error:
            raise Undelivered(f"Glue.{type(error).__name__}") from None
        return [
            (column["Name"], column.get("Type", "string")) for column in table["StorageDescriptor"]["Columns"]
        ]

    def put_object(self, destination: Destination, key: str, body: bytes) -> None:
        client = self._client(destination, "s3")
        try:
            client.put_object(Bucket=destination.bucket, Key=key, Body=body)
        except ClientError as error:
            raise Undelivered(f"S3.{error.response['Error']['Code']}") from None
        except BotoCoreError as error:
            raise Undelivered(f"S3.{type(error).__name__}") from None

    def log(self, destination: Destination, code: str, message: str) -> None:
        options = destination.configuration.get("CloudWatchLoggingOptions") or {}
        if str(options.get("Enabled", False)).lower() != "true":
            return
        client = self._client(destination, "logs")
        line = {
            "deliveryStreamARN": destination.stream_arn,
            "destination": destination.bucket_arn,
            "deliveryStreamVersionId": destination.version,
            "message": message,
            "errorCode": code,
        }
        try:
            client.put_log_events(
                logGroupName=options["LogGroupName"],
                logStreamName=options["LogStreamName"],
                logEvents=[{"timestamp": int(time.time() * 1000), "message": json.dumps(line)}],
            )
        except (ClientError, BotoCoreError):
            return  # without the right to log, a stream on AWS is as silent

    def _client(self, destination: Destination, service: str) -> Any:
        return self.clients.client(service, destination.region, destination.role_arn)


def _require_table(destination: Destination, role_arn: str, database: str, table: str) -> None:
    """Raise Undelivered unless the role may read the table: at its door the account asks for one of the
    three resources only."""
    calls = RoleCalls("firehose", role_arn, destination.region, destination.account_id)
    calls.enter()
    glue = f"arn:aws:glue:{destination.region}:{destination.account_id}"
    try:
        for resource in ("catalog", f"database/{database}", f"table/{database}/{table}"):
            calls.require("glue:GetTable", f"{glue}:{resource}")
    except CallFailed as refusal:
        raise Undelivered(f"Glue.{refusal.code}") from None
