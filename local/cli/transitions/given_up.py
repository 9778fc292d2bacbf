"""Batches of the jobs table's stream that Lambda has given up, below `aws/lambda/` in the hub's bucket.

Follows «Retaining discarded batch records for a DynamoDB event source in Lambda» of the AWS Lambda Developer
Guide: an object is the record of a call that failed, its `payload` the event as a text. The function is given
the event again; what it had sent on is not worked on twice, so that one who is interrupted does no harm.

With a record that cannot be sent on lie those that stood behind it in its batch, of the same item, too:
Lambda divides a batch at the record that the function reports, and no further. So from there each is given
alone, and none waits for one that fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PREFIX = "aws/lambda/"
PIECE_BYTES = 5_000_000
"""An invocation takes 6 MB."""

_NOT_SENT = "records were not sent on"


@dataclass(frozen=True)
class GivenUp:
    """One object: when and why Lambda gave up, and the records that it was about."""

    key: str
    at: str
    condition: str
    records: tuple[Any, ...] = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Resent:
    """How many records were sent on and how many stay, and why the first of those does."""

    sent: int
    stayed: int = 0
    reason: str = ""


@dataclass(frozen=True)
class GivenUpBatches:
    """Those of one function."""

    s3: Any
    functions: Any
    bucket: str
    function: str

    def listed(self) -> Iterator[GivenUp]:
        """Every batch of the function, the oldest of each shard first."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=PREFIX)
        for page in pages:
            for one in page.get("Contents", []):
                found = self._read(one["Key"])
                if found is not None:
                    yield found

    def resend(self, batch: GivenUp) -> Resent:
        """Give the function the records again, in their order, and leave those alone in the object that it
        does not send on; the object goes with the last of them."""
        stayed: list[Any] = []
        reasons: list[str] = []
        for piece in _pieces(batch.records):
            for record, reason in self._failures(piece):
                stayed.append(record)
                reasons.append(reason)
        if not stayed:
            self.s3.delete_object(Bucket=self.bucket, Key=batch.key)
            return Resent(len(batch.records))
        if len(stayed) < len(batch.records):
            told = {**batch.document, "payload": json.dumps({"Records": stayed})}
            self.s3.put_object(Bucket=self.bucket, Key=batch.key, Body=json.dumps(told).encode())
        return Resent(len(batch.records) - len(stayed), len(stayed), reasons[0])

    def _failures(self, records: Sequence[Any]) -> Iterator[tuple[Any, str]]:
        """The records that the function does not send on, with the reason of each."""
        reason, first = self._give(records)
        if reason and len(records) == 1:
            yield records[0], reason
        elif reason:
            for record in records[first:]:
                yield from self._failures([record])

    def _give(self, records: Sequence[Any]) -> tuple[str, int]:
        """Why the function did not send the records on, empty when it did, and the place of the first."""
        answer = self.functions.invoke(FunctionName=self.function, Payload=_event(records))
        told = json.load(answer["Payload"])
        if answer.get("FunctionError"):
            return str(told.get("errorType", "the call failed")), 0
        failures = told.get("batchItemFailures")
        return (_NOT_SENT, _place(records, failures)) if failures else ("", 0)

    def _read(self, key: str) -> GivenUp | None:
        """The batch in an object; None where it is none of this function."""
        body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        try:
            told = json.loads(body)
            arn = told["requestContext"]["functionArn"].split(":")
            records = json.loads(told["payload"])["Records"]
            of_this = arn[6] == self.function.rpartition(":")[2]
            if not of_this or not isinstance(records, list):
                return None
            return GivenUp(
                key, str(told["timestamp"]), told["requestContext"]["condition"], tuple(records), told
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return None


def _place(records: Sequence[Any], failures: Sequence[Any]) -> int:
    """Where the first record stands that is reported; the beginning, when none is known by its number."""
    reported = {one.get("itemIdentifier") for one in failures}
    numbers = [record.get("dynamodb", {}).get("SequenceNumber") for record in records]
    return next((place for place, number in enumerate(numbers) if number in reported), 0)


def _pieces(records: Sequence[Any]) -> Iterator[list[Any]]:
    """The records as an invocation takes them together."""
    piece: list[Any] = []
    size = 0
    for record in records:
        more = len(json.dumps(record)) + 2
        if piece and size + more > PIECE_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(record)
        size += more
    if piece:
        yield piece


def _event(records: Sequence[Any]) -> bytes:
    return json.dumps({"Records": list(records)}).encode()
