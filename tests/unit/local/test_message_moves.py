"""The rules of message-move tasks, on queues that are lists.

AWS documentation: SQS API Reference, «StartMessageMoveTask», «ListMessageMoveTasks», «CancelMessageMoveTask».
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from local.sqs import move_tasks as rules
from local.sqs.move_tasks import MoveFailed, MoveRefused, MoveTask, QueueFacts
from local.sqs.moving import MoveTasks, Waiting

PLACE = "arn:aws:sqs:us-east-1:000000000000:"
DEAD, SOURCE, OTHER = f"{PLACE}dead", f"{PLACE}source", f"{PLACE}other"
KEY = "arn:aws:kms:us-east-1:000000000000:key/k"


class Stopped(BaseException):
    """What ends a thread wherever it is."""


@dataclass
class Lists:
    """Implements `Queues`: messages are pairs of the queue that they died in and a text."""

    messages: dict[str, list[Waiting]]
    key_arn: str | None = None
    before_put: Callable[[], None] = lambda: None
    before_delete: Callable[[], None] = lambda: None
    taken: list[int | None] = field(default_factory=list)

    def held(self) -> AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def facts(self, arn: str) -> QueueFacts | None:
        if arn not in self.messages:
            return None
        return QueueFacts(arn, fifo=False, source_arns=(SOURCE,) if arn == DEAD else (), key_arn=self.key_arn)

    def waiting(self, arn: str, limit: int | None = None) -> Sequence[Waiting]:
        self.taken.append(limit)
        return self.messages.get(arn, [])[:limit]

    def put(self, arn: str, message: Waiting) -> None:
        self.before_put()
        self.messages[arn].append(Waiting(None, message.record))

    def delete(self, arn: str, messages: Sequence[Waiting]) -> None:
        self.before_delete()
        self.messages[arn] = [one for one in self.messages[arn] if one not in messages]

    def texts(self, arn: str) -> list[str]:
        return [message.record for message in self.messages[arn]]


def dead(*texts: str, came_from: str | None = SOURCE) -> Lists:
    return Lists({DEAD: [Waiting(came_from, text) for text in texts], SOURCE: [], OTHER: []})


@pytest.fixture
def moves() -> Iterator[Callable[[Lists], MoveTasks]]:
    """Makes tasks over queues that take no time; they are stopped at the end."""
    made: list[MoveTasks] = []

    def make(queues: Lists) -> MoveTasks:
        made.append(MoveTasks(queues, pace=0.0))
        return made[-1]

    yield make
    for tasks in made:
        tasks.reset()
        tasks.join()


Moves = Callable[[Lists], MoveTasks]


def task(**more: Any) -> MoveTask:
    given = {"task_id": "1", "source_arn": DEAD, "destination_arn": None, "max_per_second": None}
    return MoveTask(**{**given, "to_move": 2, "started": 1_000, **more})


def refused(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(MoveRefused) as refusal:
        call(*arguments)
    return refusal.value.code


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (None, (10, 0.02)),
        (500, (10, 0.02)),
        (120, (2, 1 / 60)),
        (50, (1, 0.02)),
        (1, (1, 1.0)),
        (3, (1, 1 / 3)),
    ],
)
def test_messages_are_moved_at_the_rate_asked_for_or_as_fast_as_sqs_allows(
    rate: int | None, expected: tuple[int, float]
) -> None:
    assert task(max_per_second=rate).step() == pytest.approx(expected)


def test_a_handle_is_what_sqs_gives_and_is_read_again() -> None:
    handle = task(task_id="id").handle
    assert json.loads(base64.b64decode(handle)) == {"taskId": "id", "sourceArn": DEAD}
    assert rules.named_by_handle(handle) == ("id", DEAD)


@pytest.mark.parametrize("handle", ["foobared", "e30=", base64.b64encode(b"[]").decode(), 7])
def test_a_handle_that_names_no_task_and_queue_is_refused(handle: Any) -> None:
    assert refused(rules.named_by_handle, handle) == "InvalidParameterValue"


@pytest.mark.parametrize("status", ["COMPLETED", "CANCELLING", "CANCELLED", "FAILED"])
def test_only_a_running_task_shows_its_handle_and_can_be_cancelled(status: str) -> None:
    assert "TaskHandle" in task().entry()
    assert rules.assert_can_cancel(task()) == task()
    ended = task(status=status)
    assert "TaskHandle" not in ended.entry()
    assert refused(rules.assert_can_cancel, ended) == "InvalidParameterValue"


def test_an_unknown_task_is_not_found() -> None:
    assert refused(rules.assert_can_cancel, None) == "ResourceNotFoundException"


def test_a_failure_is_shown_with_its_reason_and_nothing_is_shown_that_is_not_known() -> None:
    failed = task(status="FAILED", failure_reason="AccessDenied").entry()
    assert failed["FailureReason"] == "AccessDenied"
    assert (
        task().entry().keys() & {"FailureReason", "DestinationArn", "MaxNumberOfMessagesPerSecond"} == set()
    )


@pytest.mark.parametrize("status", ["RUNNING", "CANCELLING"])
def test_an_account_has_a_hundred_active_tasks_at_most(status: str) -> None:
    facts = QueueFacts(DEAD, fifo=False, source_arns=(SOURCE,))
    active = [task(source_arn=f"{PLACE}{number}", status=status) for number in range(100)]
    request = rules.MoveRequest(DEAD)
    rules.assert_can_start(request, facts, None, active[1:])
    assert refused(rules.assert_can_start, request, facts, None, active) == "OverLimit"


@pytest.mark.parametrize("rate", [0, 501, -1, "fast", 1.5, True])
def test_a_rate_that_is_no_number_from_1_to_500_is_refused(rate: Any) -> None:
    parameters = {"SourceArn": DEAD, "MaxNumberOfMessagesPerSecond": rate}
    assert refused(rules.MoveRequest.of, parameters) == "InvalidParameterValue"


def test_numbers_of_the_query_protocol_are_digits() -> None:
    parameters = {"SourceArn": DEAD, "MaxNumberOfMessagesPerSecond": "500"}
    assert rules.MoveRequest.of(parameters).max_per_second == 500
    assert rules.max_results_of({"MaxResults": "10"}) == 10


def test_a_request_without_a_source_lacks_a_parameter() -> None:
    assert refused(rules.MoveRequest.of, {}) == "MissingParameter"
    assert refused(rules.named_by_handle, None) == "MissingParameter"


def test_encrypted_queues_take_the_right_to_decrypt_and_to_make_data_keys() -> None:
    encrypted, plain = QueueFacts(DEAD, False, (), KEY), QueueFacts(SOURCE, False, ())
    assert rules.rights_on_keys(plain, plain) == []
    assert rules.rights_on_keys(encrypted, plain) == [("kms:Decrypt", KEY)]
    assert rules.rights_on_keys(plain, encrypted) == [("kms:GenerateDataKey", KEY), ("kms:Decrypt", KEY)]


def test_all_that_was_there_is_moved_in_its_order(moves: Moves) -> None:
    queues = dead(*map(str, range(25)))
    tasks = moves(queues)
    tasks.start({"SourceArn": DEAD})
    assert tasks.wait(DEAD)["Status"] == "COMPLETED"
    assert (queues.texts(SOURCE), queues.texts(DEAD)) == (list(map(str, range(25))), [])


def test_a_task_on_an_empty_queue_is_completed_at_once(moves: Moves) -> None:
    tasks = moves(dead())
    tasks.start({"SourceArn": DEAD})
    entry = tasks.wait(DEAD)
    assert (entry["Status"], entry["ApproximateNumberOfMessagesToMove"]) == ("COMPLETED", 0)


@pytest.mark.parametrize(("arrivals_too", "left"), [(False, ["late"]), (True, [])])
def test_arrivals_are_left_unless_a_test_wants_them_moved_too(
    moves: Moves, arrivals_too: bool, left: list[str]
) -> None:
    queues = dead("a")
    tasks = moves(queues)
    tasks.arrivals_too = arrivals_too
    tasks.pause()
    tasks.start({"SourceArn": DEAD})
    queues.messages[DEAD].append(Waiting(SOURCE, "late"))
    tasks.resume()
    tasks.wait(DEAD)
    assert queues.texts(DEAD) == left


def test_a_paused_task_runs_on_and_can_be_cancelled(moves: Moves) -> None:
    queues = dead("a")
    tasks = moves(queues)
    tasks.pause()
    handle = tasks.start({"SourceArn": DEAD})["TaskHandle"]
    assert tasks.list({"SourceArn": DEAD})["Results"][0]["TaskHandle"] == handle
    assert tasks.cancel({"TaskHandle": handle}) == {"ApproximateNumberOfMessagesMoved": 0}
    assert tasks.wait(DEAD)["Status"] == "CANCELLED"
    assert queues.texts(DEAD) == ["a"]


def test_a_listing_tells_what_was_moved_at_the_one_before_and_at_the_end_nothing_new() -> None:
    told, running, ended = [], task(), task(moved=9, status="COMPLETED")
    for now in (running, replace(running, moved=3), replace(running, moved=6), ended, ended, ended):
        running = replace(now, listings=running.listings).listed()
        told.append(running.as_told().moved)
    assert told == [0, 0, 3, 3, 9, 9]


def test_a_number_that_follows_at_once_is_told_as_it_is(moves: Moves) -> None:
    tasks = moves(dead("a"))
    tasks.numbers_follow_late = False
    tasks.start({"SourceArn": DEAD})
    tasks.wait(DEAD)
    assert tasks.list({"SourceArn": DEAD})["Results"][0]["ApproximateNumberOfMessagesMoved"] == 1


@pytest.mark.parametrize("place", ["before_put", "before_delete"])
def test_a_move_that_is_stopped_anywhere_loses_nothing(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        if place == "before_delete" or queues.texts(SOURCE) == ["a"]:
            raise Stopped

    monkeypatch.setattr(threading, "excepthook", lambda _told: None)
    queues = dead("a", "b", "c")
    setattr(queues, place, stop)
    tasks = MoveTasks(queues, pace=0.0)
    tasks.start({"SourceArn": DEAD})
    tasks.join()
    assert {*queues.texts(SOURCE), *queues.texts(DEAD)} == {"a", "b", "c"}


def test_what_was_sent_before_a_failure_is_moved_and_the_rest_stays(moves: Moves) -> None:
    def refuse() -> None:
        if len(queues.texts(SOURCE)) == 1:
            raise MoveFailed("InvalidMessageContents")

    queues = replace(dead("a", "b", "c"), before_put=refuse)
    tasks = moves(queues)
    tasks.start({"SourceArn": DEAD})
    entry = tasks.wait(DEAD)
    assert (entry["Status"], entry["FailureReason"]) == ("FAILED", "InvalidMessageContents")
    assert entry["ApproximateNumberOfMessagesMoved"] == 1
    assert (queues.texts(SOURCE), queues.texts(DEAD)) == (["a"], ["b", "c"])


def test_a_task_that_breaks_off_has_failed_and_lets_another_start(moves: Moves) -> None:
    def breaks() -> None:
        raise RuntimeError

    queues = replace(dead("a"), before_put=breaks)
    tasks = moves(queues)
    tasks.start({"SourceArn": DEAD})
    assert tasks.wait(DEAD)["FailureReason"] == "InternalError"
    queues.before_put = lambda: None
    tasks.start({"SourceArn": DEAD})
    assert tasks.wait(DEAD)["Status"] == "COMPLETED"


def test_a_task_ends_after_36_hours() -> None:
    now = iter([0.0, 36 * 3600.0])
    queues = dead("a")
    tasks = MoveTasks(queues, pace=0.0, clock=lambda: next(now))
    tasks.start({"SourceArn": DEAD})
    assert tasks.wait(DEAD)["Status"] == "FAILED"
    assert queues.texts(DEAD) == ["a"]


@pytest.mark.parametrize("action", ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"])
def test_a_right_on_the_dead_letter_queue_that_is_missing_refuses_the_start(
    moves: Moves, action: str
) -> None:
    tasks = moves(dead("a"))

    def denied(asked: str, _resource: str) -> str | None:
        return "not you" if asked == action else None

    with pytest.raises(MoveRefused, match="not you"):
        tasks.start({"SourceArn": DEAD}, denied)
    assert tasks.list({"SourceArn": DEAD}) == {}


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("sqs:SendMessage", "AccessDenied"),
        ("kms:Decrypt", "KMS.AccessDeniedException"),
        ("kms:GenerateDataKey", "KMS.AccessDeniedException"),
    ],
)
def test_a_right_on_a_source_or_a_key_that_is_missing_fails_the_task(
    moves: Moves, action: str, reason: str
) -> None:
    queues = replace(dead("a"), key_arn=KEY)
    tasks = moves(queues)

    tasks.start({"SourceArn": DEAD}, lambda asked, _resource: "not you" if asked == action else None)
    entry = tasks.wait(DEAD)

    assert (entry["Status"], entry["FailureReason"]) == ("FAILED", reason)
    assert queues.texts(DEAD) == ["a"]


def test_old_tasks_are_forgotten_beyond_what_can_be_listed(moves: Moves) -> None:
    tasks = moves(dead())
    for _ in range(15):
        tasks.start({"SourceArn": DEAD})
        tasks.wait(DEAD)
    assert len(tasks._tasks) == 10


def test_a_reset_stops_and_forgets_every_task(moves: Moves) -> None:
    queues = dead("a")
    tasks = moves(queues)
    tasks.pause()
    tasks.start({"SourceArn": DEAD})
    tasks.reset()
    tasks.join()
    assert tasks.list({"SourceArn": DEAD}) == {}
    assert queues.texts(DEAD) == ["a"]
