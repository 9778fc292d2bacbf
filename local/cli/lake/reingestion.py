"""Ingests once more what lies below the lake's error prefix.

What was wrong with a record is looked at first: one that could not be made a row of is given to the function
that makes rows again, which may know better by now. A record is put first and taken away afterwards, so that
one who is interrupted ingests it twice, which the event id tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.cli import stack
from local.cli.errors import CommandError
from local.cli.lake.failed_rows import ErrorPrefix, FailedRow, FailedRows, refusal_of
from local.cli.operations.hub import DeployedHub

MAKES_ROWS, STREAM = "PrepareLakeRowsFunction", "LakeRowsStream"
BATCH_RECORDS, BATCH_BYTES, TRIES = 500, 4_000_000, 5


@dataclass
class Reingested:
    """How many records went back into the stream, stayed, and in how many objects that somebody else has
    changed meanwhile."""

    put: int = 0
    stayed: dict[str, int] = field(default_factory=dict)
    changed: int = 0


class Reingestion:
    """Puts failed records back into the stream of one hub."""

    def __init__(self, hub: DeployedHub) -> None:
        self._hub = hub
        self._firehose: Any = hub.client("firehose")
        self._lambda: Any = hub.client("lambda")
        self._names = {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for one in stack.resources(hub.account, hub.stack_name)
        }
        self.prefix = ErrorPrefix(hub)

    def ingest(self, found: FailedRows, done: Reingested) -> None:
        """Put what can be put of one object, leave the rest in it; counts in `done`."""
        records: list[bytes] = []
        staying: list[FailedRow] = []
        for row in found.rows:
            data, reason = self._mended(row)
            if data is None:
                staying.append(row)
                done.stayed[reason] = done.stayed.get(reason, 0) + 1
            else:
                records.append(data)
        for batch in _batches(records):
            self._put(batch)
        done.put += len(records)
        if records and not self.prefix.leave(found, staying):
            done.changed += 1

    def _mended(self, row: FailedRow) -> tuple[bytes | None, str]:
        """The record to put, or None with what is wrong with it."""
        if row.reason is None:
            return row.data, ""
        record = _original(row.data)
        if record is None:
            return None, row.reason
        (made,) = self._make_rows([record])
        data = json.dumps(made).encode()
        reason = refusal_of(data)
        return (data, "") if reason is None else (None, reason)

    def _make_rows(self, records: Sequence[Any]) -> list[Any]:
        answer = self._lambda.invoke(FunctionName=self._name(MAKES_ROWS), Payload=json.dumps(records))
        made = json.load(answer["Payload"])
        if answer.get("FunctionError") or not isinstance(made, list) or len(made) != len(records):
            raise CommandError(
                f"{MAKES_ROWS} could not look at a record again.", "Read its log; nothing was taken away."
            )
        return made

    def _put(self, records: Sequence[bytes]) -> None:
        """Put records into the stream, those that it did not take once more."""
        left = list(records)
        for _ in range(TRIES):
            answer = self._firehose.put_record_batch(
                DeliveryStreamName=self._name(STREAM), Records=[{"Data": one} for one in left]
            )
            answers = zip(left, answer["RequestResponses"], strict=True)
            left = [record for record, told in answers if "ErrorCode" in told]
            if not left:
                return
        raise CommandError(
            f"Firehose did not take {len(left)} records.",
            "Try again later; nothing of their object was taken away.",
        )

    def _name(self, logical_id: str) -> str:
        if logical_id not in self._names:
            raise CommandError(
                f"The stack {self._hub.stack_name} has no {logical_id}.",
                "Name a stack of healthlake-hub with --stack, or deploy this version of it.",
            )
        name: str = self._names[logical_id]
        return name


def _original(data: bytes) -> Any | None:
    """The record of the stream that a malformed row carries."""
    try:
        told = json.loads(data)
    except ValueError:
        return None
    return told.get("record") if isinstance(told, dict) else None


def _batches(records: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The records in calls that Firehose takes."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and (len(batch) == BATCH_RECORDS or size + len(record) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch
