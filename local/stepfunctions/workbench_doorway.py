"""The one place where requests of boto3 clients pass on their way into moto, while a workbench is open.

Step Functions requests go to the bench's engine instead, those about message-move tasks to what the bench
runs them with; entries put on event buses and sent messages are noticed; requests to services whose in-memory
stores check and write in two steps are let through one at a time.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.models import botocore_stubber

from local.stepfunctions.patching import PrivateNameMissingError

Answer = tuple[int, Any, Any]

_TARGET = "X-Amz-Target"
_HOST = re.compile(r"https?://([^/:?]+)")
_ONE_AT_A_TIME = ("dynamodb", "s3")


class Doorway:
    """Stands between boto3 and moto from `open` to `close`."""

    def __init__(
        self,
        *,
        states: Callable[[str, dict[str, Any]], Answer],
        moves: Mapping[str, Callable[[dict[str, Any]], Answer]],
        on_events: Callable[[list[dict[str, Any]]], None],
        on_message: Callable[[], None],
    ) -> None:
        self._states = states
        self._moves = moves
        self._on_events = on_events
        self._on_message = on_message
        self._lock = threading.RLock()
        self._behind: Any = None

    def open(self) -> None:
        """Let requests pass through here. Raises PrivateNameMissingError when moto has no such place."""
        if not hasattr(botocore_stubber, "process_request"):
            raise PrivateNameMissingError(type(botocore_stubber), "process_request")
        self._behind = botocore_stubber.process_request
        botocore_stubber.process_request = self._pass

    def close(self) -> None:
        """Let requests go straight to moto again."""
        botocore_stubber.process_request = self._behind

    def _pass(self, request: Any) -> Any:
        service, action = _service(request.url), _action(request.headers)
        if service == "states":
            return self._states(action, _body(request))
        if service == "sqs" and action in self._moves:
            return self._moves[action](_body(request))
        if service in _ONE_AT_A_TIME:
            with self._lock:
                return self._behind(request)
        answer = self._behind(request)
        if service == "sqs" and action.startswith("SendMessage"):
            self._on_message()
        if service == "events" and action == "PutEvents" and answer is not None:
            self._notice_events(_body(request), answer)
        return answer

    def _notice_events(self, request: dict[str, Any], answer: Any) -> None:
        status, _, body = answer
        if status != 200:
            return
        results = json.loads(body)["Entries"]
        taken = [
            {**entry, "EventId": result["EventId"]}
            for entry, result in zip(request["Entries"], results, strict=True)
            if result.get("EventId")
        ]
        self._on_events(taken)


def _service(url: str) -> str:
    match = _HOST.match(url)
    labels = match[1].split(".") if match else []
    if "amazonaws" not in labels:
        return ""
    known = ("states", "sync-states", "dynamodb", "s3", "sqs", "queue", "events")
    found = next((label for label in labels if label in known), "")
    return {"sync-states": "states", "queue": "sqs"}.get(found, found)


def _action(headers: Any) -> str:
    target = headers.get(_TARGET) or ""
    text = target.decode() if isinstance(target, bytes) else str(target)
    return text.rsplit(".", 1)[-1]


def _body(request: Any) -> dict[str, Any]:
    return json.loads(request.body or b"{}")  # type: ignore[no-any-return]
