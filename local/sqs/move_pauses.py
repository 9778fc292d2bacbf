"""Message-move tasks that stand still, on request.

POST /_local/sqs/moves {"paused": true}: no task moves anything from now on, what runs stays RUNNING;
{"paused": false}: they go on. A reset of the account ends it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local.account.joined_service import Answer, join_service, json_answer
from local.sqs.moving import MoveTasks

PATH = "/_local/sqs/moves"


def register(tasks: MoveTasks) -> None:
    """Let the account answer at the path."""

    async def handle(
        method: str, _path: str, _headers: Mapping[str, str], body: bytes, _query: Mapping[str, Any]
    ) -> Answer:
        try:
            paused = json.loads(body)["paused"] if method == "POST" else None
            if not isinstance(paused, bool):
                raise ValueError("Ask with POST and whether tasks are paused: true or false.")
        except (KeyError, TypeError, ValueError) as error:
            return json_answer(400, {"message": str(error)})
        if paused:
            tasks.pause()
        else:
            tasks.resume()
        return json_answer(200, {"paused": paused})

    join_service("sqs_moves", handle, (PATH,))
