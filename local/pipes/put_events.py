"""PutEvents as EventBridge answers it where ministack does not: entries keep the time that they are given,
what is no event is refused entry by entry, and a request has a size.

AWS documentation: EventBridge API Reference, «PutEvents» and «PutEventsRequestEntry»; Amazon EventBridge User
Guide, «Calculating PutEvents event entry size».
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import msgspec

from local.account.ministack_names import ministack

MOST_BYTES = 1024 * 1024
MOST_ENTRIES = 10
_BYTES_OF_A_TIME = 14
_REQUIRED = ("Source", "DetailType", "Detail")
_TOO_LARGE = "Total size of the entries in the request is over the limit."

_given: ContextVar[float | None] = ContextVar("event_time", default=None)

Put = Callable[..., Any]
Entry = Mapping[str, Any]


def register() -> None:
    """Answer PutEvents as EventBridge does."""
    events = ministack("ministack.services.eventbridge")
    events._now_ts = _now_unless_given(events._now_ts)
    events._put_events = _checking(events._put_events)


def epoch_seconds(time: Any) -> float | None:
    """A time of a request, as a number or as text of ISO 8601; None for what is neither."""
    if isinstance(time, int | float) and not isinstance(time, bool):
        return float(time)
    try:
        read = datetime.fromisoformat(str(time))
    except ValueError:
        return None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()


def entry_size(entry: Entry) -> int:
    """How much of a request an entry takes, in bytes."""
    texts = [
        entry.get("Source"),
        entry.get("DetailType"),
        entry.get("Detail"),
        *(entry.get("Resources") or []),
    ]
    size = sum(len(text.encode()) for text in texts if isinstance(text, str))
    return size + (_BYTES_OF_A_TIME if entry.get("Time") else 0)


def refusal(entry: Entry) -> dict[str, str] | None:
    """What is answered for an entry that is no event, None for one that is."""
    for name in _REQUIRED:
        if not entry.get(name):
            reason = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": reason}
    try:
        msgspec.json.decode(entry["Detail"], type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, TypeError):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    return None


def _now_unless_given(shipped: Callable[[], float]) -> Callable[[], float]:
    def now() -> float:
        given = _given.get()
        return shipped() if given is None else given

    return now


def _checking(shipped: Put) -> Put:
    def put_events(data: Mapping[str, Any], **more: Any) -> Any:
        entries = data.get("Entries") or []
        if len(entries) > MOST_ENTRIES:
            return shipped(data, **more)
        if sum(map(entry_size, entries)) > MOST_BYTES:
            told = {"__type": "ValidationException", "message": _TOO_LARGE}
            return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(told).encode()
        refusals = [refusal(entry) for entry in entries]
        if not any(refusals) and not any("Time" in entry for entry in entries):
            return shipped(data, **more)
        return _one_by_one(shipped, data, refusals, more)

    return put_events


def _one_by_one(shipped: Put, data: Mapping[str, Any], refusals: list[Any], more: Mapping[str, Any]) -> Any:
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    answers: list[Any] = []
    for entry, refused in zip(data["Entries"], refusals, strict=True):
        if refused is not None:
            answers.append(refused)
            continue
        token = _given.set(epoch_seconds(entry.get("Time")))
        try:
            _status, headers, body = shipped({**data, "Entries": [entry]}, **more)
        finally:
            _given.reset(token)
        answers += json.loads(body)["Entries"]
    failed = sum("ErrorCode" in one for one in answers)
    return 200, headers, json.dumps({"FailedEntryCount": failed, "Entries": answers}).encode()
