"""Message-move tasks: what may be asked for, what is refused, and what is told of them.

AWS documentation: Amazon SQS API Reference, «StartMessageMoveTask», «ListMessageMoveTasks»,
«CancelMessageMoveTask»; Developer Guide, «Learn how to configure a dead-letter queue redrive in Amazon SQS»,
«Troubleshoot Amazon SQS dead-letter queue and DLQ redrive issues»; Service Authorization Reference, «Actions,
resources, and condition keys for Amazon SQS».

The pages name only a few of the errors: `InvalidParameterValue`, its messages, the status 404 and the form of
a handle are what SQS was seen to answer. Nothing says what becomes of messages that arrive meanwhile (here a
task moves as many as were there when it started), what the hundred and first task is refused with (here
OverLimit), how a task ends after 36 hours (here FAILED), nor under which deduplication id a message is sent
anew (here its message id, which is what its deduplication id in the dead-letter queue is documented to be).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from local.sqs.task_listings import NEVER_LISTED, Listings

MAX_PER_SECOND = 500
MAX_ACTIVE_TASKS = 100
MAX_LISTED = 10
LONGEST_SECONDS = 36 * 3600

RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED = (
    "RUNNING",
    "COMPLETED",
    "CANCELLING",
    "CANCELLED",
    "FAILED",
)

NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"
NO_ORIGIN = "CouldNotDetermineMessageSource"
DENIED = "AccessDenied"
KEY_DENIED = "KMS.AccessDeniedException"
TOOK_TOO_LONG = "TaskTimedOut"
BROKEN = "InternalError"

_ARN = re.compile(r"arn:[^:]+:sqs:[^:]+:\d{12}:[^:/]+")
_STEPS_PER_SECOND = 50


class MoveRefused(Exception):
    """A request that SQS refuses: the error's code, its message and the status of the answer."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class MoveFailed(Exception):
    """What a task fails with; the reason is shown as FailureReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class QueueFacts:
    """What a move has to know of a queue: its type, the queues that name it as their dead-letter queue, and
    the ARN of the customer managed key that it is encrypted with."""

    arn: str
    fifo: bool
    source_arns: tuple[str, ...]
    key_arn: str | None = None


@dataclass(frozen=True)
class MoveRequest:
    """The parameters of StartMessageMoveTask."""

    source_arn: str
    destination_arn: str | None = None
    max_per_second: int | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> MoveRequest:
        """The request, or MoveRefused for parameters that cannot be right."""
        destination = data.get("DestinationArn")
        return cls(
            source_arn=source_arn_of(data),
            destination_arn=None if destination is None else _arn(destination, "DestinationArn"),
            max_per_second=_rate(data.get("MaxNumberOfMessagesPerSecond")),
        )


@dataclass(frozen=True)
class MoveTask:
    """A task as it is at one moment; `started` is in milliseconds of the epoch."""

    task_id: str
    source_arn: str
    destination_arn: str | None
    max_per_second: int | None
    to_move: int
    started: int
    status: str = RUNNING
    moved: int = 0
    listings: Listings = NEVER_LISTED
    failure_reason: str | None = None

    @property
    def active(self) -> bool:
        return self.status in (RUNNING, CANCELLING)

    @property
    def handle(self) -> str:
        document = {"taskId": self.task_id, "sourceArn": self.source_arn}
        return base64.b64encode(json.dumps(document).encode()).decode()

    def entry(self) -> dict[str, Any]:
        """What ListMessageMoveTasks tells of the task; members without a value are left out."""
        members = {
            "TaskHandle": self.handle if self.status == RUNNING else None,
            "Status": self.status,
            "SourceArn": self.source_arn,
            "DestinationArn": self.destination_arn,
            "MaxNumberOfMessagesPerSecond": self.max_per_second,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "FailureReason": self.failure_reason if self.status == FAILED else None,
            "StartedTimestamp": self.started,
        }
        return {name: value for name, value in members.items() if value is not None}

    def listed(self) -> MoveTask:
        """The task once it has been listed another time."""
        return replace(self, listings=self.listings.next(self.moved, self.active))

    def as_told(self) -> MoveTask:
        """The task as the last listing tells of it."""
        return replace(self, moved=self.listings.told)

    def destination_of(self, came_from: str | None) -> str:
        """Where a message goes that died in the queue `came_from`. Raises MoveFailed when nobody knows: a
        message that was sent to the dead-letter queue itself has come from no queue."""
        destination = self.destination_arn or came_from
        if destination is None:
            raise MoveFailed(NO_ORIGIN)
        return destination

    def step(self) -> tuple[int, float]:
        """How many messages are moved at a time at most, and the seconds until the next ones: without a rate
        as many as SQS allows, which is what the console calls system optimized."""
        rate = self.max_per_second or MAX_PER_SECOND
        count = max(1, rate // _STEPS_PER_SECOND)
        return count, count / rate


def source_arn_of(data: Mapping[str, Any]) -> str:
    """The required SourceArn of a request, or MoveRefused."""
    if data.get("SourceArn") is None:
        raise missing("SourceArn")
    return _arn(data["SourceArn"], "SourceArn")


def max_results_of(data: Mapping[str, Any]) -> int:
    """How many tasks are asked for: one unless told otherwise, ten at most. Raises MoveRefused."""
    asked = data.get("MaxResults")
    number = 1 if asked is None else _integer(asked)
    if number is None or not 1 <= number <= MAX_LISTED:
        reason = f"Must be between 1 and {MAX_LISTED}."
        raise _invalid(f"Value {asked} for parameter MaxResults is invalid. Reason: {reason}")
    return number


def named_by_handle(handle: Any) -> tuple[str, str]:
    """The task's id and source ARN that a handle was made of. Raises MoveRefused."""
    if not handle:
        raise missing("TaskHandle")
    try:
        document = json.loads(base64.b64decode(str(handle), validate=True))
        return str(document["taskId"]), _arn(document["sourceArn"], "SourceArn")
    except (ValueError, KeyError, TypeError):
        raise _invalid("Value for parameter TaskHandle is invalid.") from None


def assert_can_start(
    request: MoveRequest,
    source: QueueFacts | None,
    destination: QueueFacts | None,
    tasks: Iterable[MoveTask],
) -> None:
    """Raise MoveRefused for a task that SQS does not start; `tasks` are those of the account."""
    if source is None:
        raise no_such_queue("SourceArn")
    if not source.source_arns:
        raise _invalid("Source queue must be configured as a Dead Letter Queue.")
    if request.destination_arn is not None:
        _assert_can_receive(request, source, destination)
    active = [task for task in tasks if task.active]
    if any(task.source_arn == request.source_arn for task in active):
        told = "Only one active task is allowed for a source queue arn at a given time."
        raise _invalid(f"There is already a task running. {told}")
    if len(active) >= MAX_ACTIVE_TASKS:
        raise MoveRefused("OverLimit", f"There are already {MAX_ACTIVE_TASKS} active tasks.", 403)


def assert_can_cancel(task: MoveTask | None) -> MoveTask:
    """The task, or MoveRefused for one that is unknown or does not run."""
    if task is None:
        raise MoveRefused("ResourceNotFoundException", "Task does not exist.", 404)
    if task.status != RUNNING:
        raise _invalid("Only active tasks can be cancelled.")
    return task


def newest(tasks: Sequence[MoveTask], source_arn: str, number: int) -> list[MoveTask]:
    """The latest tasks of a queue, newest first; `tasks` are in the order in which they were started."""
    return [task for task in reversed(tasks) if task.source_arn == source_arn][:number]


def remembered(tasks: Sequence[MoveTask], source_arn: str) -> set[str]:
    """Ids of the tasks of a queue that can still be listed."""
    return {task.task_id for task in newest(tasks, source_arn, MAX_LISTED)}


def rights_on_source(queue: QueueFacts) -> list[tuple[str, str]]:
    """Actions and resources that moving messages out of a queue takes, beside that on the task itself."""
    actions = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    return [(action, queue.arn) for action in actions]


def rights_on_destination(queue: QueueFacts) -> list[tuple[str, str]]:
    """Actions and resources that moving messages into a queue takes."""
    return [("sqs:SendMessage", queue.arn)]


def rights_on_keys(source: QueueFacts, destination: QueueFacts) -> list[tuple[str, str]]:
    """Actions on the keys of encrypted queues: what is received is decrypted, what is sent is encrypted."""
    taking = [("kms:Decrypt", source.key_arn)]
    giving = [("kms:GenerateDataKey", destination.key_arn), ("kms:Decrypt", destination.key_arn)]
    return [(action, key) for action, key in (*taking, *giving) if key is not None]


def no_such_queue(parameter: str) -> MoveRefused:
    """The refusal of an ARN whose queue is not there."""
    told = f"The resource that you specified for the {parameter} parameter doesn't exist."
    return MoveRefused("ResourceNotFoundException", told, 404)


def missing(parameter: str) -> MoveRefused:
    """The refusal of a request that lacks a parameter."""
    return MoveRefused("MissingParameter", f"The request must contain the parameter {parameter}.")


def _assert_can_receive(request: MoveRequest, source: QueueFacts, destination: QueueFacts | None) -> None:
    if request.destination_arn == request.source_arn:
        raise _invalid("Source queue arn and destination queue arn cannot be the same.")
    if _place(str(request.destination_arn)) != _place(request.source_arn):
        told = "Messages can be moved only within one account and region."
        raise MoveRefused("UnsupportedOperation", told)
    if destination is None:
        raise no_such_queue("DestinationArn")
    if destination.fifo is not source.fifo:
        raise _invalid("The source queue and destination queue must be of the same queue type.")


def _place(arn: str) -> list[str]:
    return arn.split(":")[3:5]


def _arn(value: Any, parameter: str) -> str:
    if not isinstance(value, str) or not _ARN.fullmatch(value):
        form = "arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
        raise _invalid(f"You must use this format to specify the {parameter}: {form}")
    return value


def _rate(value: Any) -> int | None:
    rate = None if value is None else _integer(value)
    if value is not None and (rate is None or not 1 <= rate <= MAX_PER_SECOND):
        reason = f"You must enter a number that's between 1 and {MAX_PER_SECOND}."
        raise _invalid(f"Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: {reason}")
    return rate


def _integer(value: Any) -> int | None:
    """The number; the query protocol sends its digits."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _invalid(message: str) -> MoveRefused:
    return MoveRefused("InvalidParameterValue", message)
