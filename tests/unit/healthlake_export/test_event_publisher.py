from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from common.retry_policy import RetryPolicy
from healthlake_export.change_events import Change, ChangeEvent
from healthlake_export.errors import EventsNotAccepted
from healthlake_export.event_publisher import IN_FLIGHT, EventPublisher, Outcome, send_events
from healthlake_export.ndjson import LinePlace
from local.testing.patience import PATIENCE_SECONDS

Answer = Callable[[list[str]], dict[str, Any]]


class FakeBus:
    """PutEvents in memory: `answers` are used one per call, then every entry is accepted."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.calls: list[list[str]] = []
        self.accepted: list[str] = []
        self._lock = threading.Lock()

    def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        details = [entry["Detail"] for entry in Entries]
        with self._lock:
            self.calls.append(details)
            answer = self.answers.pop(0)(details) if self.answers else accept(details)
            results = zip(details, answer["Entries"], strict=False)
            self.accepted += [detail for detail, result in results if "EventId" in result]
        return answer


def accept(details: list[str]) -> dict[str, Any]:
    return {"FailedEntryCount": 0, "Entries": [{"EventId": f"id-{detail}"} for detail in details]}


def refuse(*refused: str, code: str = "ThrottlingException") -> Answer:
    def answer(details: list[str]) -> dict[str, Any]:
        return {
            "FailedEntryCount": len(refused),
            "Entries": [
                {"ErrorCode": code, "ErrorMessage": "slow down"}
                if detail in refused
                else {"EventId": f"id-{detail}"}
                for detail in details
            ],
        }

    return answer


def fail(code: str, status: int = 400) -> Answer:
    def answer(_: list[str]) -> dict[str, Any]:
        raise ClientError(
            {"Error": {"Code": code, "Message": "secret"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
            "PutEvents",
        )

    return answer


def unreachable(_: list[str]) -> dict[str, Any]:
    raise EndpointConnectionError(endpoint_url="https://events")


class Waits(list[float]):
    """The waits of a policy whose chance is always one: the ceilings of the jitter."""

    def policy(self, tries: int = 4) -> RetryPolicy:
        return RetryPolicy(
            tries=tries, first_wait=1.0, longest_wait=3.0, sleep=self.append, chance=lambda: 1.0
        )


def event(detail: str) -> ChangeEvent:
    entry: Any = {"Source": "s", "DetailType": "t", "Detail": detail}
    return ChangeEvent(entry, 100, (Change(detail.encode(), LinePlace(0, len(detail))),))


def details_of(events: list[ChangeEvent]) -> list[str]:
    return [event.entry["Detail"] for event in events]


def send(bus: FakeBus, *details: str, policy: RetryPolicy | None = None) -> Outcome:
    return send_events(cast(Any, bus), list(map(event, details)), policy or Waits().policy())


def test_entries_accepted_at_once_are_sent_once() -> None:
    bus = FakeBus()
    assert send(bus, "a", "b").accepted == 2
    assert bus.calls == [["a", "b"]]


def test_only_refused_entries_are_sent_again() -> None:
    bus = FakeBus(refuse("b", "d"), refuse("d"))
    assert send(bus, "a", "b", "c", "d").accepted == 4
    assert bus.calls == [["a", "b", "c", "d"], ["b", "d"], ["d"]]
    assert sorted(bus.accepted) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("code", ["MalformedDetail", "InvalidArgument", "RedactionFailure"])
def test_an_entry_that_is_refused_for_good_is_given_back_and_not_sent_again(code: str) -> None:
    bus, waits = FakeBus(refuse("b", code=code)), Waits()
    outcome = send(bus, "a", "b", "c", policy=waits.policy())
    assert (outcome.accepted, details_of(outcome.refused), outcome.again) == (2, ["b"], [])
    assert bus.calls == [["a", "b", "c"]]
    assert waits == []


def test_refusals_of_every_try_are_given_back_while_others_are_sent_again() -> None:
    def first(details: list[str]) -> dict[str, Any]:
        codes = {"a": "InvalidArgument", "b": "InternalFailure", "c": "ThrottlingException"}
        return {
            "Entries": [
                {"ErrorCode": codes[detail]} if detail in codes else {"EventId": "id"} for detail in details
            ]
        }

    bus = FakeBus(first, refuse("c", code="MalformedDetail"))
    outcome = send(bus, "a", "b", "c", "d")
    assert bus.calls == [["a", "b", "c", "d"], ["b", "c"]]
    assert (outcome.accepted, details_of(outcome.refused)) == (2, ["a", "c"])


@pytest.mark.parametrize("code", ["InternalFailure", "InternalException", "ServiceUnavailable", "Unheard Of"])
def test_a_refusal_that_may_pass_is_tried_again(code: str) -> None:
    bus = FakeBus(refuse("a", code=code))
    assert send(bus, "a").accepted == 1
    assert bus.calls == [["a"], ["a"]]


@pytest.mark.parametrize(
    "code",
    [
        "AccessDeniedException",
        "InvalidAccountIdException",
        "NotAuthorizedForSourceException",
        "NotAuthorizedForDetailTypeException",
    ],
)
def test_an_entry_that_nobody_may_send_is_an_error_at_once(code: str) -> None:
    bus = FakeBus(refuse("b", code=code))
    with pytest.raises(EventsNotAccepted, match=f"refused an event with {code}"):
        send(bus, "a", "b")
    assert len(bus.calls) == 1


def test_waits_grow_up_to_a_bound() -> None:
    waits = Waits()
    with pytest.raises(EventsNotAccepted):
        send(FakeBus(*[refuse("a")] * 5), "a", policy=waits.policy(tries=5))
    assert waits == [1.0, 2.0, 3.0, 3.0]


def test_waits_are_drawn_from_nothing_to_the_bound() -> None:
    waits: list[float] = []
    policy = RetryPolicy(
        first_wait=1.0, longest_wait=8.0, sleep=waits.append, chance=iter([0.0, 0.5]).__next__
    )
    policy.wait(1)
    policy.wait(3)
    assert waits == [0.0, 2.0]


def test_entries_still_refused_after_the_last_try_are_an_error() -> None:
    bus = FakeBus(*[refuse("b")] * 4)
    with pytest.raises(EventsNotAccepted, match="1 of 2 events 4 times, last with ThrottlingException"):
        send(bus, "a", "b")
    assert len(bus.calls) == 4


def test_an_answer_that_leaves_out_entries_has_not_accepted_them() -> None:
    bus = FakeBus(lambda details: accept(details[:1]))
    assert send(bus, "a", "b").accepted == 2
    assert bus.calls == [["a", "b"], ["b"]]


@pytest.mark.parametrize(
    "failure",
    [fail("ThrottlingException"), fail("InternalException", 500), fail("Anything", 503), unreachable],
)
def test_a_call_that_failed_for_now_is_made_again_with_every_entry(failure: Answer) -> None:
    bus = FakeBus(failure)
    assert send(bus, "a", "b").accepted == 2
    assert bus.calls == [["a", "b"], ["a", "b"]]


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_call_that_is_refused_for_good_is_an_error_at_once(code: str) -> None:
    bus = FakeBus(fail(code))
    with pytest.raises(EventsNotAccepted, match=f"refused PutEvents with {code}") as caught:
        send(bus, "a")
    assert len(bus.calls) == 1
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_every_event_is_on_the_bus_when_the_publisher_has_finished() -> None:
    bus = FakeBus(refuse("3"))
    with EventPublisher(cast(Any, bus), Waits().policy()) as publisher:
        for number in range(95):
            publisher.publish(event(str(number)))
        assert publisher.finish() == []
    assert publisher.accepted == 95
    assert sorted(map(int, bus.accepted)) == list(range(95))


def test_events_that_were_refused_are_given_back_in_the_order_they_were_published() -> None:
    refused = [str(number) for number in range(0, 95, 9)]
    bus = FakeBus(*[refuse(*refused, code="MalformedDetail")] * 10)
    with EventPublisher(cast(Any, bus), Waits().policy()) as publisher:
        given_back = [one for number in range(95) for one in publisher.publish(event(str(number)))]
        assert given_back
        given_back += publisher.finish()
    assert details_of(given_back) == refused
    assert publisher.accepted == 95 - len(refused)


def test_nothing_published_is_nothing_sent() -> None:
    bus = FakeBus()
    with EventPublisher(cast(Any, bus), Waits().policy()) as publisher:
        assert publisher.finish() == []
    assert publisher.accepted == 0
    assert bus.calls == []


def test_a_batch_that_is_not_accepted_fails_the_publisher() -> None:
    bus = FakeBus(fail("AccessDeniedException"))
    with EventPublisher(cast(Any, bus), Waits().policy()) as publisher:
        for number in range(12):
            publisher.publish(event(str(number)))
        with pytest.raises(EventsNotAccepted):
            publisher.finish()


def test_leaving_without_finishing_sends_no_more() -> None:
    bus = FakeBus()
    with EventPublisher(cast(Any, bus), Waits().policy()) as publisher:
        publisher.publish(event("a"))
    assert bus.calls == []


def test_batches_are_sent_at_once_but_not_more_than_allowed() -> None:
    everyone_waits = threading.Barrier(IN_FLIGHT)
    at_once = 0
    most = 0
    lock = threading.Lock()

    def slow(details: list[str]) -> dict[str, Any]:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        everyone_waits.wait(PATIENCE_SECONDS)
        with lock:
            at_once -= 1
        return accept(details)

    class SlowBus:
        def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            return slow([entry["Detail"] for entry in Entries])

    with EventPublisher(cast(Any, SlowBus()), Waits().policy()) as publisher:
        for number in range(10 * IN_FLIGHT * 3):
            publisher.publish(event(str(number)))
        assert publisher.finish() == []
    assert publisher.accepted == 10 * IN_FLIGHT * 3
    assert most == IN_FLIGHT


def test_publishing_waits_while_the_batches_allowed_are_under_way() -> None:
    answering = threading.Event()
    published = threading.Event()

    class WaitingBus:
        def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
            answering.wait(PATIENCE_SECONDS)
            return accept([entry["Detail"] for entry in Entries])

    with EventPublisher(cast(Any, WaitingBus()), Waits().policy()) as publisher:

        def publish_one_batch_too_many() -> None:
            for number in range(10 * (IN_FLIGHT + 1) + 1):
                publisher.publish(event(str(number)))
            published.set()

        thread = threading.Thread(target=publish_one_batch_too_many)
        thread.start()
        assert not published.wait(timeout=0.1)
        answering.set()
        assert published.wait(PATIENCE_SECONDS)
        thread.join()
        assert publisher.finish() == []
    assert publisher.accepted == 10 * (IN_FLIGHT + 1) + 1
