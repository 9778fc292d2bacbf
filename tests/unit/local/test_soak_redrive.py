"""The soak of redrives: draws that repeat, consumers, calls that fail, and what its verdict says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.soak.faults.mortal import Killed
from local.soak.redrive.books import BULK, COUNTED, FOREIGN
from local.soak.redrive.calls import Invocation
from local.soak.redrive.mail import BROKEN, MOODY, POISON, SOUND, Mail, Writer, id_in, takes
from local.soak.redrive.verdict import Findings, problems
from local.soak.redrive.weather import Settings, Weather, failing_tasks
from local.testing.redrive_hub import DEFINITION

QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:dead"
TASKS = failing_tasks(DEFINITION)


def drawn(seed: int) -> list[Any]:
    random = Random(seed)
    weather = [Weather.draw(random, 6, TASKS) for _ in range(5)]
    return [Settings.draw(random), weather, list(Writer(random).draw(20))]


def test_the_same_seed_draws_the_same_episode() -> None:
    assert drawn(7) == drawn(7) != drawn(8)


def test_each_task_may_fail_with_what_it_handles_and_with_what_it_does_not() -> None:
    errors = {error for state, _, error in TASKS if state == "Take The Lock"}
    assert {"DynamoDB.ThrottlingException", "States.ALL"} <= errors
    assert not any("ConditionalCheckFailed" in error for error in errors), "a lie about who holds the lock"


@pytest.mark.parametrize(
    ("temper", "before", "after"), [(SOUND, True, True), (BROKEN, False, True), (POISON, False, False)]
)
def test_a_consumer_takes_what_it_can(temper: str, before: bool, after: bool) -> None:
    mail = Mail("one-1", temper)
    assert not takes("seed", mail, 1, mended=True)
    assert (takes("seed", mail, 2, mended=False), takes("seed", mail, 2, mended=True)) == (before, after)


def test_a_moody_consumer_takes_some_now_and_all_once_it_is_mended() -> None:
    mails = [Mail(f"one-{number}", MOODY) for number in range(40)]
    assert {takes("seed", mail, 2, mended=False) for mail in mails} == {True, False}
    assert all(takes("seed", mail, 2, mended=True) for mail in mails)


def test_a_text_says_which_message_it_is() -> None:
    assert id_in(f'{{"detail": "{Mail("alike-12", SOUND).text}"}}') == "alike-12"


def calls_that(refusals: float, dies_at: int | None = None) -> tuple[list[str], int]:
    """What two hundred calls of an invocation come to, and how many took effect."""
    invocation, done, results = Invocation(Random(1), dies_at, refusals), list[int](), list[str]()
    for number in range(200):
        try:
            invocation.call("sqs", "SendMessage", lambda number=number: done.append(number))  # type: ignore[misc]
            results.append("answered")
        except ClientError as error:
            results.append(str(error.response["ResponseMetadata"]["HTTPStatusCode"]))
        except Exception as error:
            results.append(type(error).__name__)
        except Killed:
            results.append("killed")
    return results, len(done)


def test_calls_are_refused_without_effect_or_lost_with_one_or_without() -> None:
    results, done = calls_that(refusals=1.0)
    counted = Counter(results)
    assert {"400", "500", "503", "ReadTimeoutError", "EndpointConnectionError"} <= counted.keys()
    unknown = ("500", "503", "ReadTimeoutError", "ConnectionClosedError")
    assert 0 < done < sum(counted[name] for name in unknown)


def test_sqs_may_delete_nothing_and_do_all_else() -> None:
    invocation, done = Invocation(Random(1), None, refusals=0.0, undeleted=1.0), list[str]()
    invocation.call("sqs", "SendMessage", lambda: done.append("sent"))
    with pytest.raises(ClientError, match="RequestThrottled"):
        invocation.call("sqs", "DeleteMessage", lambda: done.append("deleted"))
    assert done == ["sent"]


def test_a_dead_function_makes_no_call_more() -> None:
    results, done = calls_that(refusals=0.0, dies_at=5)
    assert results == ["answered"] * 5 + ["killed"] * 195
    assert done in (5, 6)


def letter(mail: Mail, **changes: Any) -> dict[str, Any]:
    whole = {
        "kind": "sqs",
        "queueArn": QUEUE_ARN,
        "body": mail.text,
        "messageAttributes": {},
        "attributes": {},
    }
    return {**whole, **changes}


GOOD, BAD = Mail("one-1", SOUND), Mail("one-2", POISON)
SETTLED = Findings(
    mails={"one-1": GOOD, "one-2": BAD},
    processed=Counter(["one-1"]),
    waiting=Counter(),
    deliveries={"one-1": Counter({COUNTED: 1}), "one-2": Counter({BULK: 1, COUNTED: 1, FOREIGN: 5})},
    letters=[letter(BAD)],
    most=2,
)
TWINS = Mail("alike-3", SOUND, copies=2)
NOTED = replace(BAD, attributes={"note": {"DataType": "String", "StringValue": "x"}})


def test_nothing_is_wrong_when_all_are_processed_or_in_quarantine() -> None:
    assert problems(SETTLED) == []


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (replace(SETTLED, processed=Counter()), "of 1 one-1 (sound) 0 were processed"),
        (
            replace(SETTLED, mails={"alike-3": TWINS}, letters=[], processed=Counter(["alike-3"])),
            "1 are lost",
        ),
        (replace(SETTLED, waiting=Counter(["one-9"])), "one-9 was never sent"),
        (replace(SETTLED, deliveries={"one-2": Counter({COUNTED: 3})}), "one-2 (1 of them) may come back 2"),
        (replace(SETTLED, letters=[letter(BAD, body="one-2")]), "with another body"),
        (replace(SETTLED, mails={"one-1": GOOD, "one-2": NOTED}), "with other attributes"),
        (replace(SETTLED, letters=[letter(BAD, queueArn=f"{QUEUE_ARN}.fifo")]), "without its group"),
        (replace(SETTLED, letters=[letter(BAD, kind="async", body="one-2")]), "without what it says"),
        (replace(SETTLED, told=[("a log", f"failed on {BAD.text}")]), "a log tells of a message"),
        (replace(SETTLED, owners={"dead": "gone"}), "the lock of dead is held by gone"),
    ],
)
def test_what_does_not_hold_is_said(found: Findings, problem: str) -> None:
    assert any(problem in one for one in problems(found)), problems(found)


def test_copies_that_sqs_moves_at_once_come_back_once_each() -> None:
    moved = {"alike-3": Counter({BULK: 2, COUNTED: 1})}
    found = replace(SETTLED, mails={"alike-3": TWINS}, waiting=Counter({"alike-3": 2}), deliveries=moved)
    assert problems(replace(found, letters=[], processed=Counter())) == []
