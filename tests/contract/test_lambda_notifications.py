"""Functions that a topic notifies, against «Invoking Lambda functions with Amazon SNS notifications»."""

import json
from collections.abc import Iterator, Mapping

import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.lambda_runtime.testing import Functions
from local.pipes.testing import eventually
from local.sqs.testing import create_queue

FAILS = "def handler(event, context):\n    raise ValueError(event['Records'][0]['Sns']['Message'])\n"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("lambda_runtime",)) as account:
        yield account


def subscribed_function(
    account: RunningAccount, name: str, queue: str, *statements: Mapping[str, str]
) -> tuple[str, str]:
    """A function that fails on everything, with the queue for that; its topic and subscription."""
    functions, lambdas, sns = Functions(account), client(account, "lambda"), client(account, "sns")
    functions.create(name, functions.role(name, statements), FAILS)
    lambdas.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": queue}}
    )
    topic = sns.create_topic(Name=name)["TopicArn"]
    endpoint = lambdas.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    subscribed = sns.subscribe(
        TopicArn=topic, Protocol="lambda", Endpoint=endpoint, ReturnSubscriptionArn=True
    )
    return topic, subscribed["SubscriptionArn"]


def test_what_a_subscribed_function_goes_on_failing_on_goes_to_its_destination(
    account: RunningAccount,
) -> None:
    sqs = client(account, "sqs")
    url, queue = create_queue(sqs, "failed")
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue}
    topic, subscription = subscribed_function(account, "fails", queue, allowed)

    client(account, "sns").publish(TopicArn=topic, Message="told once")
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]

    (failed,) = [json.loads(message["Body"]) for message in received]
    (record,) = failed["requestPayload"]["Records"]
    assert record["EventSubscriptionArn"] == subscription
    assert record["Sns"]["Message"] == failed["responsePayload"]["errorMessage"] == "told once"


def test_the_destination_is_sent_nothing_without_the_right_of_the_functions_role(
    account: RunningAccount,
) -> None:
    sqs = client(account, "sqs")
    url, queue = create_queue(sqs, "closed")
    topic, _ = subscribed_function(account, "mute", queue)

    client(account, "sns").publish(TopicArn=topic, Message="told nobody")

    refusal = f"is not authorized to perform: sqs:SendMessage on resource: {queue}"
    eventually(lambda: refusal in account.log_file.read_text(encoding="utf-8"))
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
