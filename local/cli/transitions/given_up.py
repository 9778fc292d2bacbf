"""Batches of the jobs table's stream that Lambda has given up, below `aws/lambda/` in the hub's bucket.

Follows «Retaining discarded batch records for a DynamoDB event source in Lambda» of the AWS Lambda Developer
Guide: an object is the record of a call that failed, its `payload` the event as a text. The function is given
the event again; what it had sent on is not worked on twice, so that one who is interrupted does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PREFIX = "aws/lambda/"
PIECE_BYTES = 5_000_000
"""An invocation takes 6 MB."""


@dataclass(frozen=True)
class GivenUp:
    """One object: when and why Lambda gave up, and the records that it was about."""

    key: str
    at: str
    condition: str
    records: tuple[Any, ...] = field(repr=False)


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

    def resend(self, batch: GivenUp) -> str | None:
        """Give the function the records again, in their order, and delete the object when it has sent on all
        of them; else why it stays."""
        for piece in _pieces(batch.records):
            answer = self.functions.invoke(FunctionName=self.function, Payload=piece)
            told = json.load(answer["Payload"])
            if answer.get("FunctionError"):
                return str(told.get("errorType", "the call failed"))
            if told.get("batchItemFailures"):
                return "records were not sent on"
        self.s3.delete_object(Bucket=self.bucket, Key=batch.key)
        return None

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
            return GivenUp(key, str(told["timestamp"]), told["requestContext"]["condition"], tuple(records))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return None


def _pieces(records: tuple[Any, ...]) -> Iterator[bytes]:
    """The records as events that an invocation takes."""
    piece: list[str] = []
    size = 0
    for record in records:
        text = json.dumps(record)
        if piece and size + len(text) > PIECE_BYTES:
            yield _event(piece)
            piece, size = [], 0
        piece.append(text)
        size += len(text) + 1
    if piece:
        yield _event(piece)


def _event(records: list[str]) -> bytes:
    return ('{"Records":[' + ",".join(records) + "]}").encode()
