"""Whether a condition held, and what is tried again."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from common.conditional_writes import condition_holds
from common.retry_policy import RetryPolicy


def refusal(code: str, *reasons: str) -> ClientError:
    response: Any = {"Error": {"Code": code}, "CancellationReasons": [{"Code": reason} for reason in reasons]}
    return ClientError(response, "Write")


def write(*outcomes: ClientError | None, waits: list[float] | None = None, tries: int = 4) -> bool:
    """Make a write with the given outcomes, one a try."""
    left = list(outcomes)

    def call() -> None:
        outcome = left.pop(0)
        if outcome is not None:
            raise outcome

    sleep = (waits if waits is not None else []).append
    return condition_holds(call, RetryPolicy(tries=tries, sleep=sleep, chance=lambda: 1.0))


def test_a_write_that_was_made_held() -> None:
    assert write(None)


@pytest.mark.parametrize(
    "error",
    [
        refusal("ConditionalCheckFailedException"),
        refusal("TransactionCanceledException", "None", "ConditionalCheckFailed"),
        refusal("TransactionCanceledException", "TransactionConflict", "ConditionalCheckFailed"),
    ],
)
def test_a_failed_condition_is_an_answer_and_not_tried_again(error: ClientError) -> None:
    assert not write(error)


@pytest.mark.parametrize(
    "error",
    [
        refusal("TransactionConflictException"),
        refusal("TransactionCanceledException", "TransactionConflict", "None"),
    ],
)
def test_a_conflict_is_tried_again_with_growing_waits(error: ClientError) -> None:
    waits: list[float] = []

    assert write(error, error, None, waits=waits)
    assert waits == [0.2, 0.4]


def test_a_conflict_that_does_not_end_is_let_through() -> None:
    with pytest.raises(ClientError, match="TransactionConflict"):
        write(*[refusal("TransactionConflictException")] * 4)


def test_any_other_refusal_is_let_through_at_once() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        write(refusal("AccessDeniedException"), None)
