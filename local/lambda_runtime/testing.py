"""Small functions for tests, created in a running account from their source."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.account.clients import client
from local.account.host import python_runtime
from local.account.state_file import RunningAccount

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@dataclass(frozen=True)
class Answer:
    """What an invocation answered: the payload, and the header that marks it as an error."""

    payload: Any
    function_error: str | None


class Functions:
    """Functions of one account."""

    def __init__(self, account: RunningAccount) -> None:
        self._lambda = client(account, "lambda")
        self._iam = client(account, "iam")

    def role(self, name: str, statements: tuple[Mapping[str, Any], ...] = ()) -> str:
        """A role that functions assume, with the policy statements; returns its ARN."""
        arn: str = self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"][
            "Arn"
        ]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            self._iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy)
        return arn

    def layer(self, name: str, files: Mapping[str, str]) -> str:
        """A layer with the files; returns the ARN of its version."""
        arn: str = self._lambda.publish_layer_version(LayerName=name, Content={"ZipFile": archive(files)})[
            "LayerVersionArn"
        ]
        return arn

    def create(self, name: str, role: str, source: str, **configuration: Any) -> None:
        """A function `index.handler` with the source, ready to be invoked."""
        self._lambda.create_function(
            FunctionName=name,
            Runtime=python_runtime(),
            Role=role,
            Code={"ZipFile": archive({"index.py": source})},
            **{"Handler": "index.handler", "Timeout": 20, **configuration},
        )
        self._lambda.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    def invoke(self, name: str, event: object = None) -> Answer:
        answer = self._lambda.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        return Answer(json.load(answer["Payload"]), answer.get("FunctionError"))


def archive(files: Mapping[str, str]) -> bytes:
    """A deployment archive with the files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        for name, text in files.items():
            target.writestr(name, text)
    return packed.getvalue()
