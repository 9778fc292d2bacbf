"""The lock of a queue: who has lost it touches nothing more, who has it goes on from what is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from common import aws_clients
from common.errors import AwsCallFailed
from common.instants import format_instant
from dlq_redrive import redrive_messages
from dlq_redrive.errors import LockLost
from dlq_redrive.queue_lock import QueueLock
from dlq_redrive.table_keys import lock_key
from local.testing.killed_functions import Death, KillableFunction, aws_calls_watched
from local.testing.mocked_hub import TABLE

ALL = {str(number) for number in range(15)}
Write = Callable[..., None]


@pytest.fixture
def plan(redrive: Any) -> Any:
    """Of a queue with fifteen messages: two batches."""
    dlq, _ = redrive.pair()
    redrive.fill(dlq, len(ALL))
    return redrive.plan_of(dlq)


@pytest.fixture
def write_lock(monkeypatch: pytest.MonkeyPatch) -> Write:
    """Has locks asked for, and writes the item of one."""
    monkeypatch.setattr(redrive_messages, "QueueLock", QueueLock)

    def write(plan: Any, **attributes: str) -> None:
        item: Any = {**lock_key(plan["name"]), **{name: {"S": value} for name, value in attributes.items()}}
        aws_clients.dynamodb().put_item(TableName=TABLE, Item=item)

    return write


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], None]]:
    """What happens before calls of an operation are made."""
    hooks: dict[str, Callable[[], None]] = {}
    make = BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(client: Any, operation: str, request: Any) -> Any:
        hooks.get(operation, lambda: None)()
        return make(client, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return hooks


@pytest.fixture
def killable(monkeypatch: pytest.MonkeyPatch) -> Iterator[KillableFunction]:
    function = KillableFunction(redrive_messages.lambda_handler)
    monkeypatch.setattr(redrive_messages, "lambda_handler", function)
    with aws_calls_watched():
        yield function


def fails() -> None:
    raise ClientError({"Error": {"Code": "InternalServerError"}}, "Any")


def test_whoever_holds_the_lock_redrives(redrive: Any, plan: Any, write_lock: Write) -> None:
    write_lock(plan, owner=redrive.owner("one"))
    assert redrive.run(plan, "one")["redriven"] == len(ALL)


@pytest.mark.parametrize("held_by", [{"owner": "two"}, {"redrivenAt": "2026-03-01T12:00:00.000Z"}])
def test_whoever_has_lost_the_lock_touches_nothing(
    redrive: Any, plan: Any, write_lock: Write, held_by: dict[str, str]
) -> None:
    write_lock(plan, **held_by)
    with pytest.raises(LockLost):
        redrive.run(plan, "one")
    assert all(message.visible for message in redrive.messages(plan["queueArn"]))
    assert set(redrive.bodies(plan["queueArn"])) == ALL


def test_whoever_loses_the_lock_stops_after_the_batch_in_hand(
    redrive: Any, plan: Any, write_lock: Write, before: Any
) -> None:
    write_lock(plan, owner=redrive.owner("one"))
    before["SendMessage"] = lambda: write_lock(plan, owner="two")
    with pytest.raises(LockLost):
        redrive.run(plan, "one")
    assert len(redrive.bodies(plan["queueArn"])) == 5


def test_a_lock_that_cannot_be_read_is_no_lock(
    redrive: Any, plan: Any, write_lock: Write, before: Any
) -> None:
    write_lock(plan, owner=redrive.owner("one"))
    before["GetItem"] = fails
    with pytest.raises(AwsCallFailed):
        redrive.run(plan, "one")
    assert set(redrive.bodies(plan["queueArn"])) == ALL


def test_counts_that_cannot_be_written_down_stop_nothing(
    redrive: Any, plan: Any, write_lock: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lock(plan, owner=redrive.owner("one"))
    monkeypatch.setattr(QueueLock, "_write", lambda *_: fails())
    assert redrive.run(plan, "one")["redriven"] == len(ALL)


def test_what_a_killed_call_has_moved_is_in_what_the_next_one_returns(
    redrive: Any, plan: Any, write_lock: Write, killable: KillableFunction
) -> None:
    write_lock(plan, owner=redrive.owner("one"))
    killable.die([Death(3 * 10 + 1)])  # at the first message of the second batch
    with pytest.raises(Exception, match="killed"):
        redrive.run(plan, "one", {"redriven": 100})
    redrive.show(plan["queueArn"])

    result = redrive.run(plan, "one", {"redriven": 100})
    assert (result["redriven"], result["emptied"], redrive.bodies(plan["queueArn"])) == (115, True, [])


def test_what_another_execution_has_written_down_is_its_own(
    redrive: Any, plan: Any, write_lock: Write, killable: KillableFunction
) -> None:
    write_lock(plan, owner=redrive.owner("one"))
    killable.die([Death(3 * 10 + 1)])
    with pytest.raises(Exception, match="killed"):
        redrive.run(plan, "one")
    redrive.show(plan["queueArn"])
    aws_clients.dynamodb().update_item(
        TableName=TABLE,
        Key=lock_key(plan["name"]),
        UpdateExpression="SET #owner = :two",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":two": {"S": redrive.owner("two")}},
    )
    assert redrive.run(plan, "two")["redriven"] == 5


@pytest.mark.parametrize(("since_plan", "sent"), [({}, 3), ({"bulkAt": "now"}, 2)])
def test_a_redrive_by_sqs_that_began_after_the_plan_was_made_counts(
    redrive: Any, write_lock: Write, since_plan: dict[str, str], sent: int
) -> None:
    dlq, work = redrive.pair()
    for _ in range(4):
        redrive.send(dlq, "same")
    plan = redrive.plan_of(dlq)
    now = format_instant(datetime.now(UTC))
    write_lock(plan, owner=redrive.owner("one"), **dict.fromkeys(since_plan, now))

    result = redrive.run(plan, "one")
    assert (result["redriven"], result["quarantined"]) == (sent, 4 - sent)
    assert redrive.bodies(work) == ["same"] * sent


@pytest.mark.parametrize(("days_ago", "told"), [(1, True), (100, False)])
def test_a_letter_in_quarantine_says_of_a_redrive_by_sqs_that_counts(
    redrive: Any, write_lock: Write, days_ago: int, told: bool
) -> None:
    dlq, _ = redrive.pair()
    for _ in range(4):
        redrive.send(dlq, "same")
    plan = redrive.plan_of(dlq)
    began = format_instant(datetime.now(UTC) - timedelta(days=days_ago))
    write_lock(plan, owner=redrive.owner("one"), bulkAt=began)

    redrive.run(plan, "one")

    letters = redrive.quarantined()
    assert {(one["redrives"], one.get("bulkAt")) for one in letters} == {(2, began) if told else (3, None)}


@pytest.mark.parametrize("written", [0, 10])
def test_a_call_goes_on_from_whichever_tally_has_come_farther(
    redrive: Any, plan: Any, write_lock: Write, written: int
) -> None:
    """What was written down lacks a batch where that failed; what was given one that a killed call made."""
    tally = {"owner": redrive.owner("one"), "totals": {"received": written, "redriven": written}}
    write_lock(plan, owner=redrive.owner("one"), progress=json.dumps(tally))
    assert redrive.run(plan, "one", {"received": 5, "redriven": 5})["redriven"] == max(written, 5) + len(ALL)


def test_what_sqs_has_moved_is_counted_on_from(redrive: Any, plan: Any, write_lock: Write) -> None:
    write_lock(plan, owner=redrive.owner("one"))
    assert redrive.run(plan, "one", {"redriven": 100})["redriven"] == 115
