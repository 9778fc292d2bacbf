"""Delivery streams for tests: made in a running account, with a bucket and a role of their own."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.lambda_runtime.testing import Functions

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "firehose.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
ERROR_PREFIX = "errors/!{firehose:error-output-type}/!{timestamp:yyyy-MM-dd-HH}/"
PARQUET = {
    "Enabled": True,
    "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {}}},
    "OutputFormatConfiguration": {"Serializer": {"ParquetSerDe": {}}},
}


class Streams:
    """Streams of one account; each test names its own."""

    def __init__(self, account: RunningAccount) -> None:
        self.account = account
        self.firehose = client(account, "firehose")
        self.s3 = client(account, "s3")
        self.glue = client(account, "glue")
        self.logs = client(account, "logs")
        self._iam = client(account, "iam")
        self._functions = Functions(account)
        self._lambda_role = self._functions.role("transforms")

    def role(self, name: str, actions: Sequence[str]) -> str:
        """A role that Firehose assumes, which may do the actions; returns its ARN."""
        made = self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        if actions:
            statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self._iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
        arn: str = made["Role"]["Arn"]
        return arn

    def allow(self, name: str, action: str, resource: str = "*") -> None:
        """Give a role one more right."""
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._iam.put_role_policy(RoleName=name, PolicyName=action.replace(":", "-"), PolicyDocument=policy)

    def deny(self, name: str, action: str, resource: str) -> None:
        """Take one right of a role away, in place of what was denied before."""
        statement = {"Effect": "Deny", "Action": action, "Resource": resource}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._iam.put_role_policy(RoleName=name, PolicyName="denied", PolicyDocument=policy)

    def function(self, name: str, source: str) -> str:
        """A transformation function `index.handler`; returns its ARN."""
        self._functions.create(name, self._lambda_role, source)
        account_id = self.s3.meta.region_name
        return f"arn:aws:lambda:{account_id}:000000000000:function:{name}"

    def table(self, database: str, name: str, columns: Mapping[str, str]) -> None:
        """A table of a database of its own."""
        self.glue.create_database(DatabaseInput={"Name": database})
        described = [{"Name": column, "Type": kind} for column, kind in columns.items()]
        self.glue.create_table(
            DatabaseName=database, TableInput={"Name": name, "StorageDescriptor": {"Columns": described}}
        )

    def create(
        self,
        name: str,
        actions: Sequence[str] = ("s3:PutObject", "lambda:InvokeFunction", "glue:GetTable"),
        transform: str | None = None,
        parameters: Mapping[str, str] | None = None,
        **configuration: Any,
    ) -> None:
        """A stream into a bucket of its name, whose role may do the actions."""
        self.s3.create_bucket(Bucket=name)
        if transform is not None:
            given = {"LambdaArn": transform, **(parameters or {})}
            configuration["ProcessingConfiguration"] = {
                "Enabled": True,
                "Processors": [
                    {
                        "Type": "Lambda",
                        "Parameters": [
                            {"ParameterName": key, "ParameterValue": value} for key, value in given.items()
                        ],
                    }
                ],
            }
        self.firehose.create_delivery_stream(
            DeliveryStreamName=name,
            ExtendedS3DestinationConfiguration={
                "BucketARN": f"arn:aws:s3:::{name}",
                "RoleARN": self.role(f"{name}-role", actions),
                "Prefix": "data/",
                "ErrorOutputPrefix": ERROR_PREFIX,
                **configuration,
            },
        )

    def put(self, name: str, records: Iterable[bytes]) -> dict[str, Any]:
        """PutRecordBatch."""
        answer: dict[str, Any] = self.firehose.put_record_batch(
            DeliveryStreamName=name, Records=[{"Data": record} for record in records]
        )
        return answer

    def flush(self) -> dict[str, int]:
        """Deliver everything; returns what the account says of it."""
        return self.ask("flush", {})

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, int]:
        """Ask the account's part for Firehose."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.account.port}/_local/firehose/{path}",
            data=json.dumps(body).encode(),
            method="POST",
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            told: dict[str, int] = json.load(answer)
        return told

    def objects(self, name: str, prefix: str = "") -> dict[str, bytes]:
        """The bucket's objects below a prefix."""
        listed = self.s3.list_objects_v2(Bucket=name, Prefix=prefix).get("Contents", [])
        return {
            entry["Key"]: self.s3.get_object(Bucket=name, Key=entry["Key"])["Body"].read() for entry in listed
        }

    def errors(self, name: str, kind: str) -> list[dict[str, Any]]:
        """The lines of the error objects of a type."""
        found = self.objects(name, f"errors/{kind}/")
        return [json.loads(line) for body in found.values() for line in body.splitlines()]
