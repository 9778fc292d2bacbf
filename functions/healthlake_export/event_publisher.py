"""Publishing: batches of events sent to EventBridge until every entry is accepted.

PutEvents can take some entries of a call and refuse others, so only those refused are sent again.
Follows the Amazon EventBridge API Reference, «PutEvents», and «Handling failures with PutEvents».
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from types import TracebackType
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from healthlake_export.change_events import ChangeEvent, EventBatch
from healthlake_export.errors import EventsNotAccepted
from healthlake_export.retry_policy import RetryPolicy

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    Entries = list[PutEventsRequestEntryTypeDef]

IN_FLIGHT = 4
"""Batches sent at once. The function waits for the network most of the time, and holds at most this
many megabytes of events."""

_REFUSED_FOR_NOW = frozenset(
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


def send_entries(client: EventBridgeClient, entries: Entries, policy: RetryPolicy) -> int:
    """Send entries until all are accepted, and return how many were.

    Raises `EventsNotAccepted` when some are still refused after the last try, or when the call itself is
    refused for a reason that no retry changes; those accepted by then are on the bus.
    """
    pending, reason = entries, ""
    for failures in range(policy.tries):
        if failures:
            policy.wait(failures)
        pending, reason = _send_once(client, pending)
        if not pending:
            return len(entries)
    raise EventsNotAccepted(
        f"EventBridge refused {len(pending)} of {len(entries)} events {policy.tries} times, "
        f"last with {reason}."
    )


def _send_once(client: EventBridgeClient, entries: Entries) -> tuple[Entries, str]:
    """The entries that were not accepted, and the error code of the last of them."""
    try:
        results = client.put_events(Entries=entries)["Entries"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _REFUSED_FOR_NOW or status >= 500:
            return entries, code
    except BotoCoreError as error:
        return entries, type(error).__name__
    else:
        refused: Entries = []
        reason = ""
        for entry, result in zip_longest(entries, results[: len(entries)]):
            if not (result or {}).get("EventId"):
                refused.append(entry)
                reason = (result or {}).get("ErrorCode", "no answer")
        return refused, reason
    raise EventsNotAccepted(f"EventBridge refused PutEvents with {code}.")


class EventPublisher:
    """Publishes events in batches, some of them at once, as a context manager.

    `publish` waits while `IN_FLIGHT` batches are under way and raises what went wrong with an earlier
    one; `finish` waits for all and returns how many events EventBridge has accepted. Leaving the context
    without `finish` sends nothing more.
    """

    def __init__(self, client: EventBridgeClient, policy: RetryPolicy | None = None) -> None:
        self._client = client
        self._policy = policy or RetryPolicy()
        self._batch = EventBatch()
        self._under_way: deque[Future[int]] = deque()
        self._threads = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="put-events")
        self._accepted = 0

    def __enter__(self) -> EventPublisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def publish(self, event: ChangeEvent) -> None:
        """Take an event; it is on the bus when `finish` has returned."""
        full = self._batch.add(event)
        if full:
            self._send(full)

    def finish(self) -> int:
        """Send what is left, wait for every batch, and return the number of events accepted."""
        rest = self._batch.take()
        if rest:
            self._send(rest)
        while self._under_way:
            self._wait_for_oldest()
        return self._accepted

    def _send(self, entries: Entries) -> None:
        if len(self._under_way) >= IN_FLIGHT:
            self._wait_for_oldest()
        self._under_way.append(self._threads.submit(send_entries, self._client, entries, self._policy))

    def _wait_for_oldest(self) -> None:
        self._accepted += self._under_way.popleft().result()
