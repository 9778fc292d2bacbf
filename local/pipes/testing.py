"""Tables with streams, pipes that read them, and where these lead, for tests in a running account."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.lambda_runtime.testing import Functions
from local.testing.patience import PATIENCE_SECONDS

QUIET_SECONDS = 0.3
READING = [
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
]


class StreamLab:
    """Everything in it is named after the test that makes it, so that tests share an account."""

    def __init__(self, account: RunningAccount) -> None:
        self.account = account
        self.functions = Functions(account)
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A client of the deploying user."""
        if service not in self._clients:
            self._clients[service] = client(self.account, service)
        return self._clients[service]

    def table(self, name: str) -> str:
        """The ARN of the stream of a new table with the key `id`."""
        made = self.client("dynamodb").create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        arn: str = made["TableDescription"]["LatestStreamArn"]
        return arn

    def put(self, table: str, ids: Iterable[str], **attributes: Any) -> None:
        """Write one item for each id, in order."""
        for one in ids:
            self.client("dynamodb").put_item(TableName=table, Item={"id": {"S": one}, **attributes})

    def queue(self, name: str, **attributes: str) -> tuple[str, str]:
        """URL and ARN of a new queue."""
        url = self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        asked = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, asked["Attributes"]["QueueArn"]

    def bus(self, name: str, **queue_attributes: str) -> tuple[str, str]:
        """ARN of a new bus, and URL of a queue to which a rule leads everything on it."""
        events = self.client("events")
        arn = events.create_event_bus(Name=name)["EventBusArn"]
        url, queue_arn = self.queue(f"{name}-events", **queue_attributes)
        pattern = json.dumps({"source": [{"prefix": ""}]})
        rule = events.put_rule(Name=f"{name}-all", EventBusName=name, EventPattern=pattern)["RuleArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        events.put_targets(Rule=f"{name}-all", EventBusName=name, Targets=[{"Id": "1", "Arn": queue_arn}])
        return arn, url

    def role(self, name: str, *rights: tuple[str | Sequence[str], str]) -> str:
        """ARN of a role that pipes may assume, with rights as actions and a resource."""
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "pipes.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        iam = self.client("iam")
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        if rights:
            self.allow(name, *rights)
        return arn

    def allow(self, role_name: str, *rights: tuple[str | Sequence[str], str]) -> None:
        """Let a role have these rights and no others."""
        statements = [{"Effect": "Allow", "Action": action, "Resource": where} for action, where in rights]
        self.client("iam").put_role_policy(
            RoleName=role_name,
            PolicyName="inline",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
        )

    def function(self, name: str, source: str, *statements: Mapping[str, Any]) -> str:
        """ARN of a new function."""
        role = self.functions.role(f"{name}-role", statements)
        self.functions.create(name, role, source)
        arn: str = self.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]
        return arn

    def messages(self, url: str, number: int, seconds: float = PATIENCE_SECONDS) -> list[str]:
        """The bodies of at least so many messages, which are taken; AssertionError when fewer come."""
        sqs = self.client("sqs")
        found: list[str] = []
        deadline = time.monotonic() + seconds
        while len(found) < number and time.monotonic() < deadline:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                found.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        assert len(found) >= number, f"{len(found)} of {number} messages came: {found}"
        return found

    def nothing_more(self, url: str) -> bool:
        """Whether a queue is empty, and stays so for a moment."""
        time.sleep(QUIET_SECONDS)
        return not self.client("sqs").receive_message(QueueUrl=url).get("Messages")


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """What the condition answers once that is true; AssertionError when it does not become true."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return answer
