"""Publishing: batches of events sent to EventBridge until every one is accepted, or refused for good.

PutEvents can take some entries of a call and refuse others, so only those refused are sent again.
Follows the Amazon EventBridge API Reference, «PutEvents» and «PutEventsResultEntry», and the user guide,
«Handling failures with PutEvents».
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from common.refusals import naming_the_action
from common.retry_policy import RetryPolicy
from healthlake_export.change_events import MAX_BATCH_BYTES, ChangeEvent, PutEventsBatch
from healthlake_export.errors import EventsNotAccepted

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsResultEntryTypeDef

IN_FLIGHT = 4
"""Batches sent at once. The function waits for the network most of the time, and holds at most this
many megabytes of events."""

_CALL_REFUSED_FOR_NOW = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "InternalException",
        "InternalFailure",
        "ServiceUnavailable",
        "RequestTimeout",
    }
)

# What an answer can say about one entry. Every other code, known or not, is worth another try.
_REFUSED_FOR_GOOD = frozenset({"MalformedDetail", "InvalidArgument", "RedactionFailure"})
"""It is this event that EventBridge does not take, now or later."""

_NOT_ALLOWED = frozenset(
    {
        "AccessDeniedException",
        "InvalidAccountIdException",
        "NotAuthorizedForSourceException",
        "NotAuthorizedForDetailTypeException",
    }
)
"""It would be the same for every event, until someone changes what the function may do."""


@dataclass
class Outcome:
    """What became of events that were sent: how many resources those tell of that EventBridge has accepted,
    the events that it refused for good, and those to send `again`, the last of them for the reason `why`."""

    accepted: int = 0
    refused: list[ChangeEvent] = field(default_factory=list)
    again: list[ChangeEvent] = field(default_factory=list)
    why: str = ""


def send_events(client: EventBridgeClient, events: Sequence[ChangeEvent], policy: RetryPolicy) -> Outcome:
    """Send events until each is accepted or refused for good; none is left to send again.

    Raises `EventsNotAccepted` when some are still refused after the last try, or when EventBridge refuses
    what no event and no retry changes; those accepted by then are on the bus.
    """
    total = Outcome(again=list(events))
    for failures in range(policy.tries):
        if failures:
            policy.wait(failures)
        outcome = _send_once(client, total.again)
        total.accepted += outcome.accepted
        total.refused += outcome.refused
        total.again, total.why = outcome.again, outcome.why
        if not total.again:
            return total
    raise EventsNotAccepted(
        f"EventBridge refused {len(total.again)} of {len(events)} events {policy.tries} times, "
        f"last with {total.why}."
    )


def _send_once(client: EventBridgeClient, events: list[ChangeEvent]) -> Outcome:
    try:
        results = client.put_events(Entries=[event.entry for event in events])["Entries"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        text = error.response.get("Error", {}).get("Message")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _CALL_REFUSED_FOR_NOW or status >= 500:
            return Outcome(again=events, why=code)
    except BotoCoreError as error:
        return Outcome(again=events, why=type(error).__name__)
    else:
        return _sort_out(events, results[: len(events)])
    refusal = f"EventBridge refused PutEvents with {code}."
    raise EventsNotAccepted(naming_the_action(refusal, text))


def _sort_out(events: list[ChangeEvent], results: Sequence[PutEventsResultEntryTypeDef]) -> Outcome:
    """The answer to each entry stands at its place; one without an answer has not been accepted."""
    outcome = Outcome()
    unanswered: list[PutEventsResultEntryTypeDef] = [{}] * (len(events) - len(results))
    for event, result in zip(events, [*results, *unanswered], strict=True):
        code = result.get("ErrorCode", "no answer")
        if result.get("EventId"):
            outcome.accepted += len(event.changes)
        elif code in _REFUSED_FOR_GOOD:
            outcome.refused.append(event)
        elif code in _NOT_ALLOWED:
            raise EventsNotAccepted(f"EventBridge refused an event with {code}.")
        else:
            outcome.again.append(event)
            outcome.why = code
    return outcome


class EventPublisher:
    """Publishes events in batches, some of them at once, as a context manager.

    `publish` waits while `IN_FLIGHT` batches are under way and raises what went wrong with an earlier
    one; `finish` waits for all. Both return the events that have been refused for good since; `accepted`
    counts the resources of the others. Leaving the context without `finish` sends nothing more.
    """

    def __init__(self, client: EventBridgeClient, policy: RetryPolicy) -> None:
        self._client = client
        self._policy = policy
        self._batch = PutEventsBatch()
        self._under_way: deque[Future[Outcome]] = deque()
        self._threads = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="put-events")
        self.accepted = 0

    def __enter__(self) -> EventPublisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def publish(self, event: ChangeEvent) -> list[ChangeEvent]:
        """Take an event; it is on the bus, or refused, when `finish` has returned. One that no call takes,
        because a resource's keys alone are as large, is refused here: EventBridge would refuse the call."""
        if event.size >= MAX_BATCH_BYTES:
            return [event]
        full = self._batch.add(event)
        return self._send(full) if full else []

    def finish(self) -> list[ChangeEvent]:
        """Send what is left and wait for every batch."""
        rest = self._batch.take()
        refused = self._send(rest) if rest else []
        while self._under_way:
            refused += self._wait_for_oldest()
        return refused

    def _send(self, events: list[ChangeEvent]) -> list[ChangeEvent]:
        refused = self._wait_for_oldest() if len(self._under_way) >= IN_FLIGHT else []
        self._under_way.append(self._threads.submit(send_events, self._client, events, self._policy))
        return refused

    def _wait_for_oldest(self) -> list[ChangeEvent]:
        outcome = self._under_way.popleft().result()
        self.accepted += outcome.accepted
        return outcome.refused
