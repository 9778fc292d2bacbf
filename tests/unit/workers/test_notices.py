"""What an instance is told of its end, and how long the worker takes for it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hub_worker.drain import Drain
from hub_worker.instance_metadata import UNREACHABLE, InstanceMetadata, Notice
from hub_worker.logs import Log
from hub_worker.notices import NoticeWatcher
from local.testing.fake_instance import FakeInstance, fake_instance

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def service() -> Iterator[FakeInstance]:
    with fake_instance() as instance:
        yield instance


@pytest.fixture
def instance(service: FakeInstance) -> FakeInstance:
    service.data = {"/instance-id": "i-0123456789abcdef0"}
    service.tokens.clear()
    service.failing = False
    return service


def watcher_of(
    instance: FakeInstance, drain: Drain, now: datetime = NOW, out: io.StringIO | None = None
) -> NoticeWatcher:
    metadata = InstanceMetadata(instance.endpoint)
    return NoticeWatcher(metadata, drain, 90, 0.01, Log("hub", "i", out or io.StringIO()), lambda: now)


def seconds_left(drain: Drain, times: list[float]) -> float:
    """How many seconds a job has before the drain is overdue, at the clock's zero."""
    for second in range(200):
        times.append(float(second))
        if drain.overdue:
            return second
    raise AssertionError


def test_an_instance_that_is_told_nothing_goes_on(instance: FakeInstance) -> None:
    drain = Drain()
    assert watcher_of(instance, drain).look() is None
    assert not drain.asked


def test_an_interruption_leaves_the_job_the_notices_time_less_some_to_spare(instance: FakeInstance) -> None:
    times = [0.0]
    drain = Drain(lambda: times[-1])
    instance.interrupt(60, NOW)
    watcher_of(instance, drain).look()
    assert (drain.reason, seconds_left(drain, times)) == ("spot-interruption", 45)


@pytest.mark.parametrize(("wrong_by", "seconds"), [(timedelta(days=-2), 90), (timedelta(days=2), 0)])
def test_a_wrong_clock_never_gives_a_job_more_than_it_gets_anyway(
    instance: FakeInstance, wrong_by: timedelta, seconds: int
) -> None:
    times = [0.0]
    drain = Drain(lambda: times[-1])
    instance.interrupt(120, NOW)
    watcher_of(instance, drain, NOW + wrong_by).look()
    assert seconds_left(drain, times) == seconds


def test_a_rebalance_recommendation_and_a_termination_drain_too(instance: FakeInstance) -> None:
    for give, reason in (
        (instance.recommend_rebalance, "rebalance-recommendation"),
        (instance.terminate, "group-terminates"),
    ):
        give()
        drain = Drain()
        assert watcher_of(instance, drain).look() == Notice(reason)
        assert drain.reason == reason


def test_an_interruption_while_draining_shortens_what_is_left(instance: FakeInstance) -> None:
    times = [0.0]
    drain = Drain(lambda: times[-1])
    drain.ask("SIGTERM", 90)
    instance.interrupt(45, NOW)
    watcher_of(instance, drain).look()
    assert (drain.reason, seconds_left(drain, times)) == ("SIGTERM", 30)


def test_a_token_that_has_expired_is_replaced(instance: FakeInstance) -> None:
    metadata = InstanceMetadata(instance.endpoint)
    assert metadata.instance_id() == "i-0123456789abcdef0"
    asked = instance.asked_for_tokens
    assert metadata.instance_id() == "i-0123456789abcdef0"
    assert instance.asked_for_tokens == asked
    instance.tokens.clear()
    assert metadata.instance_id() == "i-0123456789abcdef0"
    assert instance.asked_for_tokens == asked + 1


def test_a_service_that_does_not_answer_is_told_of_once_and_drains_nobody(instance: FakeInstance) -> None:
    drain, out = Drain(), io.StringIO()
    watcher = watcher_of(instance, drain, out=out)
    instance.failing = True
    assert [watcher.look(), watcher.look()] == [None, None]
    assert (drain.asked, len(out.getvalue().splitlines())) == (False, 1)


@pytest.mark.parametrize("text", ["no json", '{"time": "soon"}', '{"time": "2026-11-21T08:00:00"}'])
def test_a_notice_that_cannot_be_read_is_no_answer(instance: FakeInstance, text: str) -> None:
    instance.data["/spot/instance-action"] = text
    with pytest.raises(UNREACHABLE):
        InstanceMetadata(instance.endpoint).notice()
