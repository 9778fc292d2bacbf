"""Audit items of many runs at once.

The table has one item per run under the run's id and no index over time: which runs there were, newest first,
Step Functions tells for the 90 days that it keeps executions, and their items are then read by key. An index
in the table would cost each run a write more to tell the same.
"""

import time
from collections.abc import Sequence
from typing import Any

from common.table_values import plain
from healthlake_export.table_keys import run_key
from local.cli.errors import CommandError

# «BatchGetItem» of the Amazon DynamoDB API Reference: keys in a request.
_KEYS_AT_ONCE = 100
_TRIES = 8
_FIRST_PAUSE_SECONDS = 0.1


def read_audits(client: Any, table: str, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The audit items of the runs that have one, as plain values by run id.

    Raises CommandError when DynamoDB leaves keys unread try after try.
    """
    found: dict[str, dict[str, Any]] = {}
    for begin in range(0, len(run_ids), _KEYS_AT_ONCE):
        for item in _read(client, table, run_ids[begin : begin + _KEYS_AT_ONCE]):
            found[item["runId"]] = item
    return found


def _read(client: Any, table: str, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Keys that DynamoDB leaves unread, because a page is full or it is busy, are asked for again."""
    asked: dict[str, Any] = {table: {"Keys": [run_key(run_id) for run_id in run_ids], "ConsistentRead": True}}
    items: list[dict[str, Any]] = []
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(_TRIES):
        answer = client.batch_get_item(RequestItems=asked)
        for item in answer["Responses"].get(table, []):
            items.append({**plain(item), "runId": item["pk"]["S"].removeprefix("RUN#")})
        asked = answer.get("UnprocessedKeys") or {}
        if not asked:
            return items
        time.sleep(pause)
        pause *= 2
    raise CommandError(
        "DynamoDB is too busy to read the runs.", "Try again in a minute, with a lower --limit."
    )
