"""Message-move tasks of the local account: who may start, cancel and list them, over both protocols of SQS.

AWS documentation: SQS Developer Guide, «Troubleshoot Amazon SQS dead-letter queue and DLQ redrive issues»
(AccessDenied permission issue); Service Authorization Reference, «Actions, resources, and condition keys for
Amazon SQS».
"""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.cloudwatch.testing import evaluate_alarms
from local.sqs.move_pauses import PATH as MOVES
from local.sqs.testing import bodies, create_queue, ended_task, latest_task, let_die, no_moves, send

ON_DEAD = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
TO_START = ("sqs:StartMessageMoveTask", *ON_DEAD)
TO_CANCEL = ("sqs:CancelMessageMoveTask", *ON_DEAD)
TO_LIST = ("sqs:ListMessageMoveTasks", "sqs:GetQueueAttributes")

_numbers = itertools.count()


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("cloudwatch", "sqs")) as account:
        yield account


@pytest.fixture
def sqs(account: RunningAccount) -> Any:
    return client(account, "sqs")


class DeadLetters:
    """A dead-letter queue with one message of its source, and a destination."""

    def __init__(self, sqs: Any, *texts: str, **attributes: str) -> None:
        number = next(_numbers)
        self.dead_url, self.dead_arn = create_queue(sqs, f"dead-{number}", **attributes)
        self.url, self.arn = create_queue(sqs, f"queue-{number}", self.dead_arn)
        send(sqs, self.url, texts or ["a"])
        let_die(sqs, self.url)


@pytest.fixture
def dead(sqs: Any) -> DeadLetters:
    return DeadLetters(sqs)


SqsOf = Callable[..., Any]


@pytest.fixture
def sqs_of(account: RunningAccount) -> SqsOf:
    """A client of a user who may do just what the pairs of actions and resource allow."""
    iam = client(account, "iam")

    def make(*allowed: tuple[Sequence[str], str]) -> Any:
        name = f"user-{next(_numbers)}"
        iam.create_user(UserName=name)
        statements = [{"Effect": "Allow", "Action": list(a), "Resource": r} for a, r in allowed if a]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        user = replace(account, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"])
        return client(user, "sqs")

    return make


def without(actions: Sequence[str], missing: str) -> list[str]:
    return [action for action in actions if action != missing]


def test_the_rights_that_are_documented_are_enough(
    account: RunningAccount, dead: DeadLetters, sqs_of: SqsOf
) -> None:
    allowed = {*TO_START, *TO_CANCEL, *TO_LIST}
    user = sqs_of((sorted(allowed), dead.dead_arn), (["sqs:SendMessage"], dead.arn))

    with no_moves(account):
        handle = user.start_message_move_task(SourceArn=dead.dead_arn)["TaskHandle"]
        user.cancel_message_move_task(TaskHandle=handle)

    assert ended_task(user, dead.dead_arn)["Status"] == "CANCELLED"


def test_whoever_may_do_something_with_one_message_may_do_it_with_several(
    dead: DeadLetters, sqs_of: SqsOf
) -> None:
    user = sqs_of((["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility"], dead.dead_arn))
    (message,) = user.receive_message(QueueUrl=dead.dead_url)["Messages"]
    entry = {"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}

    user.change_message_visibility_batch(QueueUrl=dead.dead_url, Entries=[{**entry, "VisibilityTimeout": 0}])

    with pytest.raises(ClientError, match="not authorized to perform: sqs:DeleteMessage because"):
        user.delete_message_batch(QueueUrl=dead.dead_url, Entries=[entry])


@pytest.mark.parametrize("missing", TO_START)
def test_each_right_on_the_dead_letter_queue_is_needed_to_start(
    sqs: Any, dead: DeadLetters, sqs_of: SqsOf, missing: str
) -> None:
    user = sqs_of((without(TO_START, missing), dead.dead_arn), (["sqs:SendMessage"], dead.arn))

    with pytest.raises(ClientError, match="AccessDenied"):
        user.start_message_move_task(SourceArn=dead.dead_arn)

    assert sqs.list_message_move_tasks(SourceArn=dead.dead_arn).get("Results", []) == []


def test_sending_to_the_destination_is_needed_to_start(sqs: Any, dead: DeadLetters, sqs_of: SqsOf) -> None:
    user = sqs_of((TO_START, dead.dead_arn))

    with pytest.raises(ClientError, match="AccessDenied"):
        user.start_message_move_task(SourceArn=dead.dead_arn, DestinationArn=dead.arn)


def test_a_task_that_may_not_send_to_the_source_of_a_message_fails_and_leaves_it(
    sqs: Any, dead: DeadLetters, sqs_of: SqsOf
) -> None:
    sqs_of((TO_START, dead.dead_arn)).start_message_move_task(SourceArn=dead.dead_arn)

    task = ended_task(sqs, dead.dead_arn)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "AccessDenied")
    assert bodies(sqs, dead.dead_url) == ["a"]


@pytest.mark.parametrize("missing", TO_CANCEL)
def test_each_right_on_the_dead_letter_queue_is_needed_to_cancel(
    account: RunningAccount, sqs: Any, dead: DeadLetters, sqs_of: SqsOf, missing: str
) -> None:
    user = sqs_of((without(TO_CANCEL, missing), dead.dead_arn))
    with no_moves(account):
        handle = sqs.start_message_move_task(SourceArn=dead.dead_arn)["TaskHandle"]

        with pytest.raises(ClientError, match="AccessDenied"):
            user.cancel_message_move_task(TaskHandle=handle)

        assert latest_task(sqs, dead.dead_arn)["Status"] == "RUNNING"


@pytest.mark.parametrize("missing", TO_LIST)
def test_each_right_on_the_dead_letter_queue_is_needed_to_list(
    dead: DeadLetters, sqs_of: SqsOf, missing: str
) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs_of((without(TO_LIST, missing), dead.dead_arn)).list_message_move_tasks(SourceArn=dead.dead_arn)


@pytest.mark.parametrize("with_key", [False, True])
def test_messages_of_an_encrypted_queue_take_the_right_to_its_key(
    account: RunningAccount, sqs: Any, sqs_of: SqsOf, with_key: bool
) -> None:
    key = client(account, "kms").create_key()["KeyMetadata"]
    dead = DeadLetters(sqs, KmsMasterKeyId=key["KeyId"])
    decrypting = (["kms:Decrypt"] if with_key else [], key["Arn"])
    user = sqs_of((TO_START, dead.dead_arn), (["sqs:SendMessage"], dead.arn), decrypting)

    user.start_message_move_task(SourceArn=dead.dead_arn)
    task = ended_task(sqs, dead.dead_arn)

    expected = ("COMPLETED", None) if with_key else ("FAILED", "KMS.AccessDeniedException")
    assert (task["Status"], task.get("FailureReason")) == expected


def test_the_key_of_sqs_itself_takes_no_right(sqs: Any, sqs_of: SqsOf) -> None:
    dead = DeadLetters(sqs, KmsMasterKeyId="alias/aws/sqs")
    user = sqs_of((TO_START, dead.dead_arn), (["sqs:SendMessage"], dead.arn))

    user.start_message_move_task(SourceArn=dead.dead_arn)

    assert ended_task(sqs, dead.dead_arn)["Status"] == "COMPLETED"


def test_the_query_protocol_is_spoken_too(account: RunningAccount, dead: DeadLetters, sqs: Any) -> None:
    started = query(account, Action="StartMessageMoveTask", SourceArn=dead.dead_arn)
    ended_task(sqs, dead.dead_arn)
    listed = query(account, Action="ListMessageMoveTasks", SourceArn=dead.dead_arn, MaxResults="2")
    sources = query(account, Action="ListDeadLetterSourceQueues", QueueUrl=dead.dead_url)

    assert started.findtext(".//{*}StartMessageMoveTaskResult/{*}TaskHandle")
    entry = listed.find(".//{*}ListMessageMoveTasksResult/{*}ListMessageMoveTasksResultEntry")
    assert entry is not None
    assert (entry.findtext("{*}Status"), entry.findtext("{*}SourceArn")) == ("COMPLETED", dead.dead_arn)
    assert [url.text for url in sources.findall(".//{*}QueueUrl")] == [dead.url]


def query(account: RunningAccount, **parameters: str) -> ElementTree.Element:
    """The answer to a form of the query protocol."""
    form = urlencode(parameters).encode()
    request = AWSRequest("POST", account.endpoint, data=form)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    credentials = Credentials(account.access_key_id, account.secret_access_key)
    SigV4Auth(credentials, "sqs", account.region).add_auth(request)
    sent = urllib.request.Request(account.endpoint, form, dict(request.headers))
    with urllib.request.urlopen(sent) as answer:
        return ElementTree.fromstring(answer.read())


def test_the_sources_of_a_dead_letter_queue_are_listed_in_pages(sqs: Any, dead: DeadLetters) -> None:
    urls = [dead.url] + [create_queue(sqs, f"more-{next(_numbers)}", dead.dead_arn)[0] for _ in range(2)]

    first = sqs.list_dead_letter_source_queues(QueueUrl=dead.dead_url, MaxResults=2)
    rest = sqs.list_dead_letter_source_queues(
        QueueUrl=dead.dead_url, MaxResults=2, NextToken=first["NextToken"]
    )

    assert first["queueUrls"] + rest["queueUrls"] == urls
    assert "NextToken" not in rest


def test_an_alarm_on_the_depth_of_the_dead_letter_queue_is_over_once_the_messages_are_moved(
    account: RunningAccount, sqs: Any, dead: DeadLetters
) -> None:
    name = dead.dead_arn.rsplit(":", 1)[-1]
    client(account, "cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": name}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    before = evaluate_alarms(account)[name]
    sqs.start_message_move_task(SourceArn=dead.dead_arn)
    ended_task(sqs, dead.dead_arn)

    assert (before, evaluate_alarms(account, after_seconds=120)[name]) == ("ALARM", "OK")


def test_a_reset_of_the_account_stops_its_tasks(tmp_path: Any) -> None:
    with running_account(tmp_path, parts=("sqs",), auth=False) as account:
        sqs = client(account, "sqs")
        dead = DeadLetters(sqs)
        with no_moves(account):
            sqs.start_message_move_task(SourceArn=dead.dead_arn)
            reset = urllib.request.Request(f"{account.endpoint}/_ministack/reset", method="POST")
            urllib.request.urlopen(reset).close()
        again = create_queue(sqs, dead.dead_arn.rsplit(":", 1)[-1])

        assert sqs.list_message_move_tasks(SourceArn=again[1]).get("Results", []) == []


def test_a_request_that_does_not_say_whether_tasks_are_paused_is_refused(account: RunningAccount) -> None:
    for body in (b"{}", b'{"paused": "yes"}', b"[]", b"nonsense"):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(f"{account.endpoint}{MOVES}", body)
