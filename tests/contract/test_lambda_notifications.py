"""Functions that a topic notifies, against «Invoking Lambda functions with Amazon SNS notifications»."""

import json
from collections.abc import Iterator

import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.lambda_runtime.testing import Functions
from local.sqs.testing import create_queue

FAILS = "def handler(event, context):\n    raise ValueError(event['Records'][0]['Sns']['Message'])\n"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("lambda_runtime",)) as account:
        yield account


def test_what_a_subscribed_function_goes_on_failing_on_goes_to_its_destination(
    account: RunningAccount,
) -> None:
    functions, sqs, sns = Functions(account), client(account, "sqs"), client(account, "sns")
    url, queue = create_queue(sqs, "failed")
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue}
    functions.create("fails", functions.role("fails", (allowed,)), FAILS)
    lambdas = client(account, "lambda")
    lambdas.put_function_event_invoke_config(
        FunctionName="fails",
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": queue}},
    )
    topic = sns.create_topic(Name="told")["TopicArn"]
    endpoint = lambdas.get_function(FunctionName="fails")["Configuration"]["FunctionArn"]
    subscribed = sns.subscribe(
        TopicArn=topic, Protocol="lambda", Endpoint=endpoint, ReturnSubscriptionArn=True
    )

    sns.publish(TopicArn=topic, Message="told once")
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]

    (failed,) = [json.loads(message["Body"]) for message in received]
    (record,) = failed["requestPayload"]["Records"]
    assert record["EventSubscriptionArn"] == subscribed["SubscriptionArn"]
    assert record["Sns"]["Message"] == failed["responsePayload"]["errorMessage"] == "told once"
