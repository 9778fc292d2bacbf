"""Message-move tasks of the local account and of the workbench: as SQS documents them, the same in both.

AWS documentation: SQS API Reference, «StartMessageMoveTask», «ListMessageMoveTasks», «CancelMessageMoveTask»,
«ListDeadLetterSourceQueues»; Developer Guide, «Learn how to configure a dead-letter queue redrive in Amazon
SQS», «Troubleshoot Amazon SQS dead-letter queue and DLQ redrive issues».
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.sqs.testing import bodies, create_queue, ended_task, latest_task, let_die, no_moves, send, taken
from local.stepfunctions.workbench import Workbench

NOTHING = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("sqs",)) as account:
        yield account


@dataclass(frozen=True)
class Emulator:
    """A client of an emulator's SQS, and how its tasks are kept from moving anything."""

    sqs: Any
    no_moves: Callable[[], AbstractContextManager[None]]


@pytest.fixture(params=["account", "workbench"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    if request.param == "account":
        account = request.getfixturevalue("account")
        yield Emulator(client(account, "sqs"), lambda: no_moves(account))
    else:
        with Workbench(NOTHING, {}, {}) as bench:
            yield Emulator(boto3.client("sqs"), lambda: _paused(bench))


@contextmanager
def _paused(bench: Workbench) -> Iterator[None]:
    bench.moves.pause()
    try:
        yield
    finally:
        bench.moves.resume()


@pytest.fixture
def sqs(emulator: Emulator) -> Any:
    return emulator.sqs


class Pair:
    """A queue and its dead-letter queue, of names that no other test uses."""

    def __init__(self, sqs: Any, suffix: str = "") -> None:
        number = next(_numbers)
        self.dead_url, self.dead_arn = create_queue(sqs, f"dead-{number}{suffix}")
        self.url, self.arn = create_queue(sqs, f"queue-{number}{suffix}", self.dead_arn)
        self._sqs = sqs

    def die(self, *texts: str, **more: Any) -> None:
        send(self._sqs, self.url, texts, **more)
        let_die(self._sqs, self.url)

    def other(self) -> tuple[str, str]:
        """Another queue of the same type, with the same dead-letter queue."""
        name = self.arn.rsplit(":", 1)[-1]
        return create_queue(self._sqs, f"other-{name}", self.dead_arn)


@pytest.fixture
def pair(sqs: Any) -> Pair:
    return Pair(sqs)


def refusal(call: Any, **parameters: Any) -> tuple[str, int, str]:
    """Code, status and message of the refusal."""
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    response = refused.value.response
    return (
        response["Error"]["Code"],
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Message"],
    )


def test_messages_go_back_where_they_died_as_new_messages_of_the_same_content(sqs: Any, pair: Pair) -> None:
    attribute = {"kind": {"DataType": "String", "StringValue": "check"}}
    pair.die("a", "b", MessageAttributes=attribute)
    died = sqs.receive_message(QueueUrl=pair.dead_url, VisibilityTimeout=0, AttributeNames=["All"])
    (dead,) = died["Messages"]

    sqs.start_message_move_task(SourceArn=pair.dead_arn)
    task = ended_task(sqs, pair.dead_arn)

    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 2)
    moved = {message["Body"]: message for message in taken(sqs, pair.url)}
    assert moved.keys() == {"a", "b"}
    again = moved[dead["Body"]]
    assert again["MessageAttributes"] == attribute
    assert again["MessageId"] != dead["MessageId"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "1"
    assert int(again["Attributes"]["SentTimestamp"]) > int(dead["Attributes"]["SentTimestamp"])
    assert bodies(sqs, pair.dead_url) == []


def test_a_task_tells_what_it_was_asked_for_and_no_handle_once_it_has_ended(sqs: Any, pair: Pair) -> None:
    pair.die("a")
    _, destination = pair.other()
    sqs.start_message_move_task(
        SourceArn=pair.dead_arn, DestinationArn=destination, MaxNumberOfMessagesPerSecond=9
    )
    task = ended_task(sqs, pair.dead_arn)

    assert task.pop("StartedTimestamp") > 1_700_000_000_000
    assert task == {
        "Status": "COMPLETED",
        "SourceArn": pair.dead_arn,
        "DestinationArn": destination,
        "MaxNumberOfMessagesPerSecond": 9,
        "ApproximateNumberOfMessagesMoved": 1,
        "ApproximateNumberOfMessagesToMove": 1,
    }


def test_the_number_of_moved_messages_follows_after_the_end_of_a_task(sqs: Any, pair: Pair) -> None:
    pair.die("a", "b")
    sqs.start_message_move_task(SourceArn=pair.dead_arn)
    while (at_first := latest_task(sqs, pair.dead_arn))["Status"] == "RUNNING":
        pass
    later = latest_task(sqs, pair.dead_arn)

    assert [task["Status"] for task in (at_first, later)] == ["COMPLETED", "COMPLETED"]
    assert [task["ApproximateNumberOfMessagesMoved"] for task in (at_first, later)] == [0, 2]


def test_each_message_goes_back_to_the_queue_that_it_came_from(sqs: Any, pair: Pair) -> None:
    other_url, _ = pair.other()
    pair.die("mine")
    send(sqs, other_url, ["its"])
    let_die(sqs, other_url)

    listed = sqs.list_dead_letter_source_queues(QueueUrl=pair.dead_url)["queueUrls"]
    sqs.start_message_move_task(SourceArn=pair.dead_arn)
    ended_task(sqs, pair.dead_arn)

    assert sorted(listed) == sorted([pair.url, other_url])
    assert (bodies(sqs, pair.url), bodies(sqs, other_url)) == (["mine"], ["its"])


def test_a_dead_message_says_which_queue_it_came_from_and_a_moved_one_does_not(sqs: Any, pair: Pair) -> None:
    pair.die("a")
    asked = ["DeadLetterQueueSourceArn"]
    died = sqs.receive_message(
        QueueUrl=pair.dead_url, VisibilityTimeout=0, MessageSystemAttributeNames=asked
    )["Messages"]
    sqs.start_message_move_task(SourceArn=pair.dead_arn)
    ended_task(sqs, pair.dead_arn)
    (moved,) = taken(sqs, pair.url)

    assert [message["Attributes"] for message in died] == [{"DeadLetterQueueSourceArn": pair.arn}]
    assert "DeadLetterQueueSourceArn" not in moved["Attributes"]


def test_messages_can_be_moved_to_a_queue_of_ones_choice(sqs: Any, pair: Pair) -> None:
    url, arn = create_queue(sqs, f"chosen-{next(_numbers)}")
    pair.die("a")
    send(sqs, pair.dead_url, ["sent to the dead-letter queue itself"])

    sqs.start_message_move_task(SourceArn=pair.dead_arn, DestinationArn=arn)

    assert ended_task(sqs, pair.dead_arn)["Status"] == "COMPLETED"
    assert sorted(bodies(sqs, url)) == ["a", "sent to the dead-letter queue itself"]


def test_a_fifo_queue_gets_its_groups_back_in_order(sqs: Any) -> None:
    pair = Pair(sqs, ".fifo")
    texts = [f"{number}" for number in range(12)]
    for text in texts:
        sqs.send_message(
            QueueUrl=pair.url,
            MessageBody=text,
            MessageGroupId="odd" if int(text) % 2 else "even",
            MessageDeduplicationId=text,
        )
    let_die(sqs, pair.url)

    sqs.start_message_move_task(SourceArn=pair.dead_arn)
    assert ended_task(sqs, pair.dead_arn)["ApproximateNumberOfMessagesMoved"] == 12
    moved = taken(sqs, pair.url)

    groups = {name: [m["Body"] for m in moved if group_of(m) == name] for name in ("even", "odd")}
    assert groups == {"even": texts[::2], "odd": texts[1::2]}


def group_of(message: dict[str, Any]) -> str:
    return str(message["Attributes"]["MessageGroupId"])


def test_a_message_of_a_fifo_queue_can_die_and_be_moved_again_and_again(sqs: Any) -> None:
    pair = Pair(sqs, ".fifo")
    pair.die("a", "b")
    for _ in range(3):
        sqs.start_message_move_task(SourceArn=pair.dead_arn)
        assert ended_task(sqs, pair.dead_arn)["ApproximateNumberOfMessagesMoved"] == 2
        let_die(sqs, pair.url)

    dead = taken(sqs, pair.dead_url)
    assert [message["Body"] for message in dead] == ["a", "b"]
    assert [m["Attributes"]["MessageDeduplicationId"] for m in dead] == [m["MessageId"] for m in dead]


def test_a_message_that_came_from_no_queue_fails_the_task_and_stays(sqs: Any, pair: Pair) -> None:
    send(sqs, pair.dead_url, ["direct"])
    pair.die("after it")

    sqs.start_message_move_task(SourceArn=pair.dead_arn)
    task = ended_task(sqs, pair.dead_arn)

    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert task["ApproximateNumberOfMessagesMoved"] == 0
    assert sorted(bodies(sqs, pair.dead_url)) == ["after it", "direct"]


def test_a_task_whose_destination_is_deleted_fails_and_loses_nothing(
    emulator: Emulator, sqs: Any, pair: Pair
) -> None:
    pair.die("a", "b", "c")
    url, arn = create_queue(sqs, f"deleted-{next(_numbers)}")
    with emulator.no_moves():
        sqs.start_message_move_task(SourceArn=pair.dead_arn, DestinationArn=arn)
        sqs.delete_queue(QueueUrl=url)
    task = ended_task(sqs, pair.dead_arn)

    assert (task["Status"], task["FailureReason"]) == ("FAILED", "AWS.SimpleQueueService.NonExistentQueue")
    assert task["ApproximateNumberOfMessagesMoved"] == 0
    assert sorted(bodies(sqs, pair.dead_url)) == ["a", "b", "c"]


def test_messages_in_flight_are_left_alone(sqs: Any, pair: Pair) -> None:
    pair.die("in flight", "waiting")
    (received,) = sqs.receive_message(QueueUrl=pair.dead_url, VisibilityTimeout=60)["Messages"]

    sqs.start_message_move_task(SourceArn=pair.dead_arn)
    task = ended_task(sqs, pair.dead_arn)
    sqs.change_message_visibility(
        QueueUrl=pair.dead_url, ReceiptHandle=received["ReceiptHandle"], VisibilityTimeout=0
    )

    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
    assert bodies(sqs, pair.dead_url) == [received["Body"]]


def test_a_group_of_a_fifo_queue_waits_behind_its_message_in_flight(sqs: Any) -> None:
    pair = Pair(sqs, ".fifo")
    pair.die("first", "second")
    sqs.receive_message(QueueUrl=pair.dead_url, VisibilityTimeout=60)

    sqs.start_message_move_task(SourceArn=pair.dead_arn)

    assert ended_task(sqs, pair.dead_arn)["ApproximateNumberOfMessagesMoved"] == 0


def test_a_task_moves_as_many_messages_as_were_there_when_it_started(
    emulator: Emulator, sqs: Any, pair: Pair
) -> None:
    pair.die("a", "b")
    with emulator.no_moves():
        sqs.start_message_move_task(SourceArn=pair.dead_arn)
        send(sqs, pair.dead_url, ["arrived meanwhile"])
    task = ended_task(sqs, pair.dead_arn)

    assert task["ApproximateNumberOfMessagesToMove"] == task["ApproximateNumberOfMessagesMoved"] == 2
    assert bodies(sqs, pair.dead_url) == ["arrived meanwhile"]


def test_a_queue_has_one_task_at_a_time_and_another_when_that_has_ended(
    emulator: Emulator, sqs: Any, pair: Pair
) -> None:
    pair.die("a", "b", "c")
    with emulator.no_moves():
        handle = sqs.start_message_move_task(SourceArn=pair.dead_arn)["TaskHandle"]
        code, status, message = refusal(sqs.start_message_move_task, SourceArn=pair.dead_arn)
        running = latest_task(sqs, pair.dead_arn)
        sqs.cancel_message_move_task(TaskHandle=handle)
    ended_task(sqs, pair.dead_arn)
    sqs.start_message_move_task(SourceArn=pair.dead_arn)

    assert (code, status) == ("InvalidParameterValue", 400)
    assert message.startswith("There is already a task running.")
    assert (running["Status"], running["TaskHandle"]) == ("RUNNING", handle)
    assert ended_task(sqs, pair.dead_arn)["Status"] == "COMPLETED"
    assert sorted(bodies(sqs, pair.url)) == ["a", "b", "c"]


def test_a_cancelled_task_keeps_what_it_has_moved_and_leaves_the_rest(sqs: Any, pair: Pair) -> None:
    # at one a second it is cancelled long before its end
    pair.die(*(f"{number}" for number in range(60)))
    handle = sqs.start_message_move_task(SourceArn=pair.dead_arn, MaxNumberOfMessagesPerSecond=1)[
        "TaskHandle"
    ]
    while latest_task(sqs, pair.dead_arn)["ApproximateNumberOfMessagesMoved"] == 0:
        pass

    told = sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    task = ended_task(sqs, pair.dead_arn)

    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("CANCELLED", told)
    assert "TaskHandle" not in task
    assert (len(bodies(sqs, pair.url)), len(bodies(sqs, pair.dead_url))) == (told, 60 - told)


def test_what_cannot_be_cancelled_is_refused(sqs: Any, pair: Pair) -> None:
    handle = sqs.start_message_move_task(SourceArn=pair.dead_arn)["TaskHandle"]
    ended_task(sqs, pair.dead_arn)

    ended = refusal(sqs.cancel_message_move_task, TaskHandle=handle)
    nonsense = refusal(sqs.cancel_message_move_task, TaskHandle="foobared")
    sqs.delete_queue(QueueUrl=pair.dead_url)
    queueless = refusal(sqs.cancel_message_move_task, TaskHandle=handle)

    invalid = ("InvalidParameterValue", 400)
    assert ended == (*invalid, "Only active tasks can be cancelled.")
    assert nonsense == (*invalid, "Value for parameter TaskHandle is invalid.")
    assert queueless[:2] == ("ResourceNotFoundException", 404)


def test_the_latest_task_is_listed_or_as_many_as_are_asked_for_newest_first(sqs: Any, pair: Pair) -> None:
    for rate in range(1, 13):
        sqs.start_message_move_task(SourceArn=pair.dead_arn, MaxNumberOfMessagesPerSecond=rate)
        ended_task(sqs, pair.dead_arn)

    def listed(**asked: int) -> list[int]:
        results = sqs.list_message_move_tasks(SourceArn=pair.dead_arn, **asked)["Results"]
        return [task["MaxNumberOfMessagesPerSecond"] for task in results]

    assert (listed(), listed(MaxResults=3)) == ([12], [12, 11, 10])
    assert listed(MaxResults=10) == list(range(12, 2, -1))
    assert refusal(sqs.list_message_move_tasks, SourceArn=pair.dead_arn, MaxResults=11)[:2] == (
        "InvalidParameterValue",
        400,
    )


NO_QUEUE = "arn:aws:sqs:us-east-1:{account}:no-such-queue"
REFUSED_STARTS: dict[str, tuple[dict[str, Any], tuple[str, int], str]] = {
    "no queue": ({"SourceArn": NO_QUEUE}, ("ResourceNotFoundException", 404), "SourceArn parameter"),
    "not a dead-letter queue": (
        {"SourceArn": "{queue}"},
        ("InvalidParameterValue", 400),
        "must be configured as a Dead Letter Queue",
    ),
    "not an ARN": ({"SourceArn": "dead"}, ("InvalidParameterValue", 400), "specify the SourceArn"),
    "no destination": (
        {"SourceArn": "{dead}", "DestinationArn": NO_QUEUE},
        ("ResourceNotFoundException", 404),
        "DestinationArn parameter",
    ),
    "of another type": (
        {"SourceArn": "{dead}", "DestinationArn": "{fifo}"},
        ("InvalidParameterValue", 400),
        "of the same queue type",
    ),
    "of another region": (
        {"SourceArn": "{dead}", "DestinationArn": "arn:aws:sqs:eu-west-3:{account}:q"},
        ("AWS.SimpleQueueService.UnsupportedOperation", 400),
        "within one account and region",
    ),
    "itself": (
        {"SourceArn": "{dead}", "DestinationArn": "{dead}"},
        ("InvalidParameterValue", 400),
        "cannot be the same",
    ),
    "too slow": (
        {"SourceArn": "{dead}", "MaxNumberOfMessagesPerSecond": 0},
        ("InvalidParameterValue", 400),
        "between 1 and 500",
    ),
    "too fast": (
        {"SourceArn": "{dead}", "MaxNumberOfMessagesPerSecond": 501},
        ("InvalidParameterValue", 400),
        "between 1 and 500",
    ),
}


@pytest.mark.parametrize("case", REFUSED_STARTS)
def test_a_task_that_cannot_be_is_refused_and_nothing_is_moved(sqs: Any, pair: Pair, case: str) -> None:
    parameters, expected, told = REFUSED_STARTS[case]
    _, fifo = create_queue(sqs, f"typed-{next(_numbers)}.fifo")
    pair.die("stays")
    names = {"queue": pair.arn, "dead": pair.dead_arn, "fifo": fifo, "account": pair.arn.split(":")[4]}
    filled = {k: v.format(**names) if isinstance(v, str) else v for k, v in parameters.items()}

    code, status, message = refusal(sqs.start_message_move_task, **filled)

    assert ((code, status), told in message) == (expected, True), message
    assert sqs.list_message_move_tasks(SourceArn=pair.dead_arn).get("Results", []) == []
    assert bodies(sqs, pair.dead_url) == ["stays"]


def test_five_hundred_messages_a_second_are_not_waited_for_one_by_one(sqs: Any, pair: Pair) -> None:
    entries = [{"Id": str(number), "MessageBody": str(number)} for number in range(10)]
    for _ in range(20):
        sqs.send_message_batch(QueueUrl=pair.url, Entries=entries)
    let_die(sqs, pair.url)

    sqs.start_message_move_task(SourceArn=pair.dead_arn)

    assert ended_task(sqs, pair.dead_arn)["ApproximateNumberOfMessagesMoved"] == 200
    assert len(bodies(sqs, pair.url)) == 200
