"""Requests for faults of deliveries.

POST /_local/streams/faults {"shuffle": seed or null, "repeat": probability, "late": probability,
"lateSeconds": seconds}: from now on, what pipes put on a bus or into Firehose and what rules send to queues
comes in another order, again, and again when it is released (or after so many seconds, if they are given);
readers of streams are given batches again. POST /_local/streams/release delivers what is held, whatever is
asked for by then. GET /_local/streams/faults answers what is asked for and how much is held. A reset of the
account ends it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from local.account.joined_service import Answer, join_service, json_answer
from local.account.ministack_names import ministack
from local.streams.faults import DeliveryFaults, FaultSettings, FaultsRefused

SERVICE = "local_streams"
PREFIX = "/_local/streams"


def register(faults: DeliveryFaults) -> None:
    """Answer the requests, and let rules deliver to queues with the faults."""
    events = ministack("ministack.services.eventbridge")
    events._dispatch_to_sqs = _with_faults(events._dispatch_to_sqs, faults)

    async def handle(method: str, path: str, _headers: object, body: bytes, _query: object) -> Answer:
        match method, path.removeprefix(PREFIX):
            case "POST", "/faults":
                return _ask(faults, body)
            case "GET", "/faults":
                return json_answer(200, _described(faults))
            case "POST", "/release":
                released = await asyncio.to_thread(faults.release)
                return json_answer(200, {"released": released})
        return json_answer(404, {"message": "There is nothing at this path."})

    join_service(SERVICE, handle, (PREFIX,), faults.reset)


def _ask(faults: DeliveryFaults, body: bytes) -> Answer:
    try:
        asked = json.loads(body or b"{}")
        faults.ask(FaultSettings.read(asked if isinstance(asked, dict) else {"": asked}))
    except (FaultsRefused, ValueError) as refusal:
        return json_answer(400, {"message": str(refusal)})
    return json_answer(200, _described(faults))


def _described(faults: DeliveryFaults) -> dict[str, Any]:
    settings = faults.settings
    return {
        "shuffle": settings.shuffle,
        "repeat": settings.repeat,
        "late": settings.late,
        "lateSeconds": settings.late_seconds,
        "held": faults.held(),
    }


def _with_faults(shipped: Callable[..., None], faults: DeliveryFaults) -> Callable[..., None]:
    def dispatch_to_sqs(*args: Any, **kwargs: Any) -> None:
        faults.deliver(lambda: shipped(*args, **kwargs))

    return dispatch_to_sqs
