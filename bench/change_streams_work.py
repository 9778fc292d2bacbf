"""The work of the functions that read streams of records, and of a handler that only deserialises.

Each is the handler as the template names it, called with batch after batch as the runtime calls it. The
services behind them are in the process: what they are given is kept or dropped at once.
"""

from __future__ import annotations

import io
import json
import os
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from bench.change_records import batches
from bench.timed_work import Prepare, Work, main
from common import aws_clients

_CONTEXT = SimpleNamespace(
    function_name="bench",
    aws_request_id="bench",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:bench",
)
_STREAM = "arn:aws:firehose:us-east-1:123456789012:deliverystream/lake-rows"
_ROWS_OF_A_BATCH = 1_200
_VARIABLES = {
    "RECORDS_TABLE": "records",
    "HUB_BUCKET": "hub",
    "JOBS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs.fifo",
    "MAX_INLINE_BYTES": "204800",
    "LAKE_FIRST_DAY": "2026-11-01",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_METRICS_NAMESPACE": "bench",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def deserialise(given: Path, _folder: Path) -> Work:
    """A handler that turns both images of each record into Python with boto3's TypeDeserializer."""

    def handler(event: Sequence[Mapping[str, Any]], _context: object) -> list[dict[str, Any]]:
        return list(map(_deserialised, event))

    return _calling(handler, list(batches(given)))


def write_json(given: Path, _folder: Path) -> Work:
    """The same handler, which then writes both images as JSON: with doubles, as json writes numbers."""

    def handler(event: Sequence[Mapping[str, Any]], _context: object) -> list[str]:
        return [json.dumps(_deserialised(record), default=_plain) for record in event]

    return _calling(handler, list(batches(given)))


_deserialize = TypeDeserializer().deserialize


def _deserialised(record: Mapping[str, Any]) -> dict[str, Any]:
    stream = record["dynamodb"]
    return {
        image: {name: _deserialize(value) for name, value in stream[image].items()}
        for image in ("NewImage", "OldImage")
        if image in stream
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, set) else float(value)


def enrich(given: Path, _folder: Path) -> Work:
    """The enrichment of the pipe to the bus; the table answers from memory."""
    from change_stream import enrich_changes

    read = list(batches(given))
    _serve(read)
    return _calling(enrich_changes.lambda_handler, read)


def prepare_rows(given: Path, _folder: Path) -> Work:
    """The enrichment of the pipe to the lake."""
    from change_stream import prepare_lake_rows

    read = list(batches(given))
    _serve(read)
    return _calling(prepare_lake_rows.lambda_handler, read)


def partition_rows(given: Path, _folder: Path) -> Work:
    """The transformation of Firehose; batches of a megabyte, as its buffer has, of rows of the records."""
    from change_stream import partition_lake_rows, prepare_lake_rows

    read = list(batches(given))
    _serve(read)
    with redirect_stdout(io.StringIO()):
        prepare: Callable[[Any, Any], Any] = prepare_lake_rows.lambda_handler
        rows = [row for batch in read for row in prepare(batch, _CONTEXT)]
    records = [
        {"recordId": f"{number:056}", "approximateArrivalTimestamp": 1_795_000_100_000, "data": _base64(row)}
        for number, row in enumerate(rows)
    ]
    events = [
        {"deliveryStreamArn": _STREAM, "records": records[first : first + _ROWS_OF_A_BATCH]}
        for first in range(0, len(records), _ROWS_OF_A_BATCH)
    ]
    return _calling(partition_lake_rows.lambda_handler, events)


def _base64(row: Any) -> str:
    return b64encode(json.dumps(row).encode()).decode()


def transitions(given: Path, _folder: Path) -> Work:
    """The function that detects transitions; half of the records are one."""
    from transitions import detect_transitions

    read = list(batches(given))
    _serve(read)
    return _calling(
        detect_transitions.lambda_handler,
        [{"Records": batch} for batch in read],
        expected={"batchItemFailures": []},
    )


class _Table:
    """A table that has what the records last said, by id."""

    def __init__(self, read: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        self._items: dict[str, dict[str, Any]] = {}
        for record in (record for batch in read for record in batch):
            keys, new = record["dynamodb"]["Keys"], record["dynamodb"].get("NewImage")
            below = self._items.setdefault(keys["id"]["S"], {})
            sk = keys.get("sk", {"S": ""})["S"]
            below.pop(sk, None)
            if new is not None:
                below[sk] = new

    def get_paginator(self, _operation: str) -> _Table:
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        values = request["ExpressionAttributeValues"]
        below, sk = self._items[values[":id"]["S"]], values[":sk"]["S"]
        yield {"Items": [item for key, item in below.items() if key.startswith(sk)]}


class _Queue:
    """Takes messages and drops them."""

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]], "Failed": []}


class _Objects:
    """Takes objects and drops them."""

    def put_object(self, **_: Any) -> dict[str, str]:
        return {"ETag": "etag"}


def _serve(read: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    os.environ.update(_VARIABLES)
    table, objects, queue = _Table(read), _Objects(), _Queue()
    vars(aws_clients).update(
        dynamodb=lambda: table, s3=lambda: objects, sqs=lambda: queue, firehose=lambda: objects
    )


def _calling(handler: Callable[[Any, Any], Any], read: Sequence[Any], expected: Any = None) -> Work:
    """Calls with one batch after the other; what is logged and counted goes nowhere. Each answers something,
    or what is expected."""

    def work() -> None:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            for batch in read:
                answer = handler(batch, _CONTEXT)
                if not answer or (expected is not None and answer != expected):
                    raise ValueError("a batch came to something else")

    return work


WORKS: dict[str, Prepare] = {
    "deserialise": deserialise,
    "json": write_json,
    "enrich": enrich,
    "rows": prepare_rows,
    "partition": partition_rows,
    "transitions": transitions,
}

if __name__ == "__main__":
    main(WORKS, sys.argv[1:])
