"""The conditional writes of a datastore's state: of two that compete, one wins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from healthlake_export.run_context import RunIdentity
from healthlake_export.run_progress import RunProgress
from healthlake_export.run_state import RunState

ME, OTHER = "arn:me", "arn:other"


def acquire(state: RunState, owner: str) -> bool:
    return state.acquire(owner, owner, now="now", stale_after="later")


def begin_start(state: RunState, invocation: str, now: int, at: str = "12:00") -> bool:
    return state.begin_start(ME, "attempt", "token", invocation, now=now, until=now + 90, at=at)


@pytest.fixture
def exporting(state: RunState) -> RunState:
    acquire(state, ME)
    begin_start(state, "invocation", now=0)
    state.record_job(ME, "invocation", "job")
    return state


def test_of_many_that_take_the_lock_at_once_one_has_it(state: RunState) -> None:
    barrier = Barrier(8)

    def take(number: int) -> bool:
        barrier.wait()
        return acquire(state, f"arn:{number}")

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(8))) == 1


def test_the_owner_may_take_its_lock_again(state: RunState) -> None:
    assert acquire(state, ME)
    assert acquire(state, ME)
    assert not acquire(state, OTHER)


def test_the_first_run_stays_the_first_whatever_becomes_of_it(state: RunState) -> None:
    for owner, now in ((ME, "12:00"), (OTHER, "13:00")):
        assert state.acquire(owner, owner, now=now, stale_after="later")
        state.close(RunIdentity(owner, owner, state.datastore_id), {"status": "FAILED"}, "{}")
    assert state.read().first_run_at == "12:00"


def test_resuming_begins_the_count_of_held_runs_anew(state: RunState) -> None:
    acquire(state, ME)
    held = RunProgress(holds=3, paused_at="12:00")
    state.close(RunIdentity(ME, ME, state.datastore_id), {"status": "COMPLETED"}, "{}", held)

    assert state.resume()
    assert (state.read().holds, state.read().paused_at) == (0, None)


def test_an_owner_that_exports_cannot_start_over(exporting: RunState) -> None:
    assert not acquire(exporting, ME)
    assert exporting.read().job_id == "job"


def test_one_invocation_starts_the_job_until_its_time_is_over(state: RunState) -> None:
    acquire(state, ME)

    assert begin_start(state, "first", now=1000, at="12:00")
    assert not begin_start(state, "second", now=1089)
    assert begin_start(state, "third", now=1091, at="12:01")
    assert state.read().requested_at == "12:00", "the earliest request is what a watermark may safely be"


def test_an_invocation_whose_time_is_over_records_no_job(state: RunState) -> None:
    acquire(state, ME)
    begin_start(state, "first", now=1000)
    begin_start(state, "second", now=2000)

    assert not state.record_job(ME, "first", "job of the first")
    assert state.record_job(ME, "second", "job of the second")


def test_giving_up_a_start_lets_the_next_try_begin_at_once(state: RunState) -> None:
    acquire(state, ME)
    begin_start(state, "first", now=1000)

    assert not state.give_up_start(ME, "somebody else")
    assert state.give_up_start(ME, "first")
    assert begin_start(state, "second", now=1001)


def test_a_check_is_claimed_by_one_message_which_may_claim_again(exporting: RunState) -> None:
    assert exporting.claim_check(ME, "attempt", 0, "message")
    assert exporting.claim_check(ME, "attempt", 0, "message")
    assert not exporting.claim_check(ME, "attempt", 0, "copy")
    assert exporting.claim_check(ME, "attempt", 1, "next message")
    assert not exporting.claim_check(ME, "attempt", 0, "message")


def test_checks_of_an_earlier_attempt_are_dropped_after_a_retry_took_the_job_over(
    exporting: RunState,
) -> None:
    assert exporting.adopt_job(ME, "second attempt", "second token")

    assert not exporting.claim_check(ME, "attempt", 0, "message")
    assert exporting.claim_check(ME, "second attempt", 0, "other message")
    assert not exporting.still_exporting(ME, "attempt")
    assert exporting.still_exporting(ME, "second attempt")


def test_since_when_a_job_runs_is_noted_once(exporting: RunState) -> None:
    exporting.note_running(ME, "job", 100)
    exporting.note_running(ME, "job", 200)

    assert exporting.read().running_since == 100


def test_closing_a_run_releases_the_lock_moves_the_watermark_and_fills_the_outbox(
    exporting: RunState,
) -> None:
    run = RunIdentity(ME, ME, exporting.datastore_id)

    assert exporting.close(run, {"status": "COMPLETED"}, "{}", RunProgress("12:00", "key"))

    after = exporting.read()
    assert after.owner is None
    assert after.job_id is None
    assert (after.watermark, after.published_ids, exporting.outbox()) == ("12:00", "key", [(ME, "{}")])


def test_a_run_that_lost_its_lock_closes_nothing(exporting: RunState) -> None:
    stranger = RunIdentity(OTHER, OTHER, exporting.datastore_id)

    assert not exporting.close(stranger, {"status": "COMPLETED"}, "{}", RunProgress("12:00"))
    assert exporting.read().owner == ME
    assert exporting.read().watermark is None


def test_a_run_that_leaves_no_ids_leaves_none_of_an_earlier_run_either(exporting: RunState) -> None:
    exporting.close(
        RunIdentity(ME, ME, exporting.datastore_id),
        {"status": "x"},
        "{}",
        RunProgress("1", "k"),
    )
    acquire(exporting, OTHER)

    exporting.close(
        RunIdentity(OTHER, OTHER, exporting.datastore_id), {"status": "x"}, "{}", RunProgress("2")
    )

    assert exporting.read().published_ids is None


def test_a_failed_run_leaves_watermark_and_ids_alone(exporting: RunState) -> None:
    exporting.close(
        RunIdentity(ME, ME, exporting.datastore_id),
        {"status": "x"},
        "{}",
        RunProgress("1", "k"),
    )
    acquire(exporting, OTHER)

    exporting.close(RunIdentity(OTHER, OTHER, exporting.datastore_id), {"status": "FAILED"}, "{}")

    assert (exporting.read().watermark, exporting.read().published_ids) == ("1", "k")


def test_resuming_lets_the_schedule_go_on_once(state: RunState) -> None:
    run = RunIdentity("run", ME, state.datastore_id)
    acquire(state, ME)
    state.close(run, {"status": "COMPLETED"}, "{}", RunProgress(holds=3, paused_at="12:00"))

    assert [state.resume(), state.resume()] == [True, False]
    assert (state.read().paused_at, state.read().holds) == (None, 0)
