"""Alarms for tests: evaluated when asked, their messages read from a queue that subscribes to their topic."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.account.clients import client
from local.account.own_pages import ask
from local.account.state_file import RunningAccount
from local.testing.patience import PATIENCE_SECONDS


def evaluate_alarms(account: RunningAccount, after_seconds: float = 0) -> dict[str, str]:
    """Every alarm's state by name, as of `after_seconds` from now."""
    body = json.dumps({"afterSeconds": after_seconds}).encode()
    alarms = json.loads(ask(account, "/_local/cloudwatch/evaluate", "POST", body))["alarms"]
    return {name: alarm["state"] for name, alarm in alarms.items()}


@dataclass
class Topic:
    """What alarms have said at a topic since the subscription began."""

    sqs: Any
    queue_url: str
    heard: list[Mapping[str, Any]]

    def says(self, alarm: str, state: str) -> Mapping[str, Any]:
        """The message that the alarm came to the state; raises AssertionError when none arrives."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for message in self.heard:
                if (message["AlarmName"], message["NewStateValue"]) == (alarm, state):
                    return message
            self._listen()
        said = [(message["AlarmName"], message["NewStateValue"]) for message in self.heard]
        raise AssertionError(f"{alarm} did not say {state}; said was {said}")

    def _listen(self) -> None:
        answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            self.heard.append(json.loads(json.loads(message["Body"])["Message"]))
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])


@contextmanager
def listening_to(account: RunningAccount, topic_arn: str) -> Iterator[Topic]:
    """Subscribe a queue to the topic for as long as the block lasts."""
    sqs, sns = client(account, "sqs"), client(account, "sns")
    url = sqs.create_queue(QueueName=f"alarms-heard-{time.time_ns()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    subscription = sns.subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]
    try:
        yield Topic(sqs, url, [])
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)
        sqs.delete_queue(QueueUrl=url)
