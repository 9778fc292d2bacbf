"""The time for which FIFO queues know what was sent, moved on request.

POST /_local/sqs/deduplication {"passed": 301}: what was sent up to now was sent so many seconds earlier, as
far as deduplication knows. Amazon SQS Developer Guide, «Using the message deduplication ID in Amazon SQS»:
what is sent once more is taken once within five minutes, and is another message after that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local.account.joined_service import Answer, join_service, json_answer
from local.account.ministack_names import ministack

PATH = "/_local/sqs/deduplication"
WINDOW_SECONDS = 300


def register() -> None:
    """Let the account answer at the path."""
    join_service("sqs_deduplication", _handle, (PATH,))


def passed(seconds: float) -> int:
    """Let the time pass for every queue; returns how many messages had been known."""
    sqs = ministack("ministack.services.sqs")
    known = 0
    with sqs._queues_lock:
        for queue in sqs._queues.values():
            for entry in queue["dedup_cache"].values():
                entry["expire"] -= seconds
            known += len(queue["dedup_cache"])
    return known


async def _handle(
    method: str, _path: str, _headers: Mapping[str, str], body: bytes, _query: Mapping[str, Any]
) -> Answer:
    try:
        if method != "POST":
            raise ValueError("Ask with POST and the seconds that have passed.")
        known = passed(float(json.loads(body)["passed"]))
    except (KeyError, TypeError, ValueError) as error:
        return json_answer(400, {"message": str(error)})
    return json_answer(200, {"known": known})
