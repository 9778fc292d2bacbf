"""Records of a DynamoDB stream, read again by their position.

Follows «GetShardIterator» and «GetRecords» of the Amazon DynamoDB Streams API Reference and, for the shape in
which functions and pipes are given records, «Using AWS Lambda with Amazon DynamoDB» of the AWS Lambda
Developer Guide.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from dlq_redrive.failure_records import Position
from dlq_redrive.quarantine_reasons import Reason

_MOST_EMPTY_ANSWERS = 20
"""Answers without a record in a row, which a shard may give between two records."""

_MOST_RECORDS = 10_000
"""What a batch of a stream can hold at most."""


def read_records(streams: Any, position: Position) -> list[dict[str, Any]] | Reason:
    """The records from the first to the last of a position, in the shape of an event, or why there are none.

    They may be more than the batch had: others may stand between, which a filter had left out or which went
    with another batch."""
    try:
        found = _read(streams, position)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code == "TrimmedDataAccessException":
            return Reason.POSITION_EXPIRED
        if code in ("ResourceNotFoundException", "ValidationException"):
            return Reason.POSITION_UNREADABLE
        raise
    if not found or _number(found[-1]) != position.endSequenceNumber:
        return Reason.POSITION_UNREADABLE
    return [_as_event(record, position.streamArn) for record in found]


def _read(streams: Any, position: Position) -> list[dict[str, Any]]:
    iterator = streams.get_shard_iterator(
        StreamArn=position.streamArn,
        ShardId=position.shardId,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=position.startSequenceNumber,
    ).get("ShardIterator")
    found: list[dict[str, Any]] = []
    empty = 0
    while iterator and empty < _MOST_EMPTY_ANSWERS and len(found) < _MOST_RECORDS:
        answer = streams.get_records(ShardIterator=iterator)
        for record in answer["Records"]:
            found.append(record)
            if _number(record) == position.endSequenceNumber:
                return found
        empty = 0 if answer["Records"] else empty + 1
        iterator = answer.get("NextShardIterator")
    return found


def _number(record: Mapping[str, Any]) -> str:
    return str(record["dynamodb"]["SequenceNumber"])


def _as_event(record: Mapping[str, Any], stream_arn: str) -> dict[str, Any]:
    return {**{name: _plain(value) for name, value in record.items()}, "eventSourceARN": stream_arn}


def _plain(value: Any) -> Any:
    """A value as JSON has it: seconds since 1970 for times, base64 for binary values, lists for sets."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return int(value.timestamp())
    return base64.b64encode(value).decode() if isinstance(value, bytes | bytearray) else value
