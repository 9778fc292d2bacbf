"""SQS and what stands beside it, failing at each call: named errors, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from common import aws_clients
from common.errors import AwsCallFailed, HubError, UnexpectedError
from dlq_redrive import counted_redrive, queue_calls
from dlq_redrive.errors import KeyDenied, NotDeleted, QueueGone, RedriveDenied, RedriveThrottled
from dlq_redrive.message_identity import message_identity

FAULTS: dict[str, type[HubError]] = {
    "RequestThrottled": RedriveThrottled,
    "AccessDenied": RedriveDenied,
    "AWS.SimpleQueueService.NonExistentQueue": QueueGone,
    "KmsAccessDenied": KeyDenied,
    "InternalError": AwsCallFailed,
}
FailCalls = Callable[..., None]


def named(operation: str, code: str) -> type[HubError]:
    """The name under which a call fails: the same for all that cannot delete what was sent."""
    return NotDeleted if operation == "DeleteMessage" else FAULTS[code]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> FailCalls:
    """Has calls of an operation refused, those after the first `let_through`, `times` of them."""
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def fail(operation: str, code: str, let_through: int = 0, times: int = 1000) -> None:
        seen = iter(range(10_000))

        def answer(client: Any, called: str, parameters: Any) -> Any:
            if called == operation and let_through <= next(seen) < let_through + times:
                raise ClientError({"Error": {"Code": code, "Message": "SECRET"}}, operation)
            return call(client, called, parameters)

        monkeypatch.setattr(BaseClient, "_make_api_call", answer)

    return fail


@pytest.fixture
def waiting(redrive: Any) -> tuple[str, str, Any]:
    """A dead-letter queue with twelve messages, its source, and the plan."""
    dlq, work = redrive.pair()
    redrive.fill(dlq, 12)
    return dlq, work, redrive.plan_of(dlq)


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize("operation", ["ReceiveMessage", "SendMessage", "DeleteMessage"])
def test_a_call_that_can_move_nothing_fails_by_its_name(
    redrive: Any, waiting: Any, fail: FailCalls, operation: str, code: str
) -> None:
    dlq, work, plan = waiting
    fail(operation, code)

    with pytest.raises(named(operation, code), match=f"^{operation} was refused with {code}"):
        redrive.run(plan)

    assert len(redrive.messages(dlq)) == 12
    # What was sent and cannot be deleted would be sent again, so that nothing is sent after it.
    assert len(redrive.messages(work)) == (operation == "DeleteMessage")


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize("operation", ["SendMessage", "DeleteMessage"])
def test_once_it_works_again_every_message_goes_back(
    redrive: Any, waiting: Any, fail: FailCalls, operation: str, code: str
) -> None:
    dlq, work, plan = waiting
    fail(operation, code, let_through=5, times=1)

    totals = redrive.run_all(plan)

    assert (redrive.messages(dlq), set(redrive.bodies(work))) == ([], {str(n) for n in range(12)})
    assert (totals["redriven"], totals["failures"]) == (12, {named(operation, code).__name__: 1})


def test_not_now_ends_the_call_at_once(redrive: Any, waiting: Any, fail: FailCalls) -> None:
    _, work, plan = waiting
    fail("SendMessage", "RequestThrottled", let_through=4)

    totals = redrive.run(plan)
    assert (totals["redriven"], totals["failed"], totals["more"]) == (4, 1, True)
    assert len(redrive.messages(work)) == 4


@pytest.mark.parametrize("code", FAULTS)
def test_what_was_moved_before_no_more_can_be_received_is_told(
    redrive: Any, waiting: Any, fail: FailCalls, code: str
) -> None:
    dlq, _, plan = waiting
    fail("ReceiveMessage", code, let_through=1, times=1)

    totals = redrive.run(plan)
    assert (totals["redriven"], totals["failures"]) == (10, {FAULTS[code].__name__: 1})
    assert (totals["emptied"], totals["more"]) == (False, True)

    totals = redrive.run(plan, totals=totals)
    assert (totals["redriven"], totals["emptied"], redrive.bodies(dlq)) == (12, True, [])


def test_what_was_moved_before_a_message_that_cannot_be_read_is_told(
    redrive: Any, waiting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, plan = waiting
    batches = iter([True])
    receive = queue_calls.receive

    def breaks(*given: Any, **more: Any) -> Any:
        if next(batches, False):
            return receive(*given, **more)
        raise ValueError("SECRET")

    monkeypatch.setattr(counted_redrive, "receive", breaks)
    totals = redrive.run(plan)
    assert (totals["redriven"], totals["failures"]) == (10, {"UnexpectedError": 1})


def test_a_message_in_quarantine_that_cannot_be_deleted_is_tried_again(redrive: Any, fail: FailCalls) -> None:
    """It was sent nowhere: its object is written once, however often."""
    dlq, _ = redrive.pair()
    redrive.send(dlq, "old")
    plan = redrive.plan_of(dlq)
    redrive.age(dlq, days=11)
    fail("DeleteMessage", "RequestThrottled", times=1)
    with pytest.raises(RedriveThrottled):
        redrive.run(plan)

    assert redrive.run(plan)["quarantined"] == 1
    assert (redrive.bodies(dlq), len(redrive.quarantined())) == ([], 1)


@pytest.mark.parametrize("code", ["AccessDenied", "KmsAccessDenied", "SlowDown"])
def test_a_message_whose_quarantine_cannot_be_written_stays(redrive: Any, fail: FailCalls, code: str) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "old")
    plan = redrive.plan_of(dlq)
    redrive.age(dlq, days=11)
    fail("PutObject", code)

    with pytest.raises(HubError, match=f"PutObject was refused with {code}"):
        redrive.run(plan)
    assert redrive.bodies(dlq) == ["old"]


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
def test_a_message_whose_count_cannot_be_written_is_not_sent(
    redrive: Any, waiting: Any, fail: FailCalls, operation: str
) -> None:
    dlq, work, plan = waiting
    fail(operation, "AccessDeniedException")

    with pytest.raises(RedriveDenied, match=operation):
        redrive.run(plan)
    assert (len(redrive.messages(dlq)), redrive.messages(work)) == (12, [])


def test_messages_that_cannot_be_let_go_are_back_later(redrive: Any, waiting: Any, fail: FailCalls) -> None:
    dlq, work, plan = waiting
    fail("SendMessage", "AccessDenied")
    with pytest.raises(RedriveDenied):
        redrive.run(plan)
    fail("ChangeMessageVisibilityBatch", "AccessDenied")

    redrive.show(dlq)
    redrive.run_all(plan)
    assert len(set(redrive.bodies(work))) == 12


def test_a_source_that_was_deleted_loses_nothing(redrive: Any, waiting: Any) -> None:
    dlq, work, plan = waiting
    aws_clients.sqs().delete_queue(QueueUrl=redrive.url(work))

    with pytest.raises(QueueGone, match="SendMessage"):
        redrive.run(plan)
    assert len(redrive.messages(dlq)) == 12


def test_a_message_that_breaks_the_code_does_not_keep_the_others(
    redrive: Any, waiting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dlq, _, plan = waiting

    def breaks(queue: str, kind: str, letter: Any) -> str:
        if letter.body == "7":
            raise ValueError(letter.body)
        return message_identity(queue, kind, letter)

    monkeypatch.setattr(counted_redrive, "message_identity", breaks)
    totals = redrive.run(plan)
    assert (totals["redriven"], totals["failures"]) == (11, {"UnexpectedError": 1})
    assert redrive.bodies(dlq) == ["7"]
    with pytest.raises(UnexpectedError):
        redrive.run(plan, totals=totals)


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize(
    "operation", ["ListQueues", "ListQueueTags", "GetQueueAttributes", "ReceiveMessage", "GetItem"]
)
def test_a_plan_that_cannot_be_made_fails_by_its_name(
    redrive: Any, fail: FailCalls, operation: str, code: str
) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    fail(operation, code)
    with pytest.raises(FAULTS[code], match=f"^{operation} was refused with {code}"):
        redrive.plan()


def test_no_word_of_a_service_leaves_the_function(
    redrive: Any, waiting: Any, fail: FailCalls, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, plan = waiting
    fail("SendMessage", "AccessDenied")
    with pytest.raises(RedriveDenied) as failure:
        redrive.run(plan)
    assert "SECRET" not in str(failure.value) + capsys.readouterr().out
    assert failure.value.__cause__ is None
