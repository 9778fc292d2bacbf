"""Streams of the local account's tables, and their records.

AWS documentation: Amazon DynamoDB Streams API Reference, «Record»; AWS Lambda Developer Guide, «Using AWS
Lambda with Amazon DynamoDB» for the shape that readers are given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from local.account.ministack_names import ministack

SHARD_ID = "shardId-00000000000000000000-00000000"
"""The one shard that a stream of the local account has."""


@dataclass(frozen=True)
class StreamRecord:
    """A record and its position in the stream."""

    position: int
    record: Mapping[str, Any]

    @property
    def sequence_number(self) -> str:
        """The record's sequence number."""
        return str(self.record["dynamodb"]["SequenceNumber"])

    @property
    def created(self) -> float:
        """When the change was made, in epoch seconds (whole ones, as DynamoDB tells them)."""
        return float(self.record["dynamodb"]["ApproximateCreationDateTime"])

    @cached_property
    def raw(self) -> bytes:
        """The record as JSON."""
        return json.dumps(self.record, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Stream:
    """The stream of a table."""

    arn: str
    region: str
    account_id: str
    table: str

    @classmethod
    def named(cls, arn: str) -> Self | None:
        """The stream of an ARN, None for an ARN of anything else."""
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "dynamodb":
            return None
        resource = parts[5].split("/", 3)
        if len(resource) != 4 or resource[0] != "table" or resource[2] != "stream" or not resource[3]:
            return None
        return cls(arn, parts[3], parts[4], resource[1])

    def bounds(self) -> tuple[int, int]:
        """The positions of the oldest record that is kept, and past the newest; equal when none is there."""
        dynamodb = ministack("ministack.services.dynamodb")
        table = dynamodb._tables.get_scoped(self.account_id, self.region, self.table)
        if not table or table.get("LatestStreamArn") != self.arn:
            return 0, 0
        return (
            dynamodb.stream_start_position(self.table, **self._scope),
            dynamodb.stream_end_position(self.table, **self._scope),
        )

    def read(self, position: int, limit: int) -> list[StreamRecord]:
        """At most so many records from a position on."""
        found = ministack("ministack.services.dynamodb").stream_records_since(
            self.table, position, limit, **self._scope
        )
        return [StreamRecord(position + offset, record) for offset, record in enumerate(found)]

    @property
    def _scope(self) -> dict[str, str]:
        return {"account_id": self.account_id, "region": self.region}


def json_list(elements: Iterable[bytes]) -> bytes:
    """A JSON array of elements that are JSON."""
    return b"[" + b",".join(elements) + b"]"
