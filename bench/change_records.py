"""Records of a stream as functions are given them, one batch to a line, made from writes drawn from a seed.

They have no binary attributes: boto3's TypeDeserializer refuses them as they stand in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.demo.streams.items import ADDRESS, MEASUREMENT, PATIENT, Image, Key
from local.demo.streams.plan import INSERT, MODIFY, Change, draw

KINDS: Mapping[str, frozenset[str]] = {
    "patients": frozenset({PATIENT, ADDRESS}),
    "measurements": frozenset({MEASUREMENT}),
}
UPLOADS = "uploads"
"""Records of the table of jobs: each upload as it comes, and when a worker has done with it."""

BATCH = 100
_SEED = "bench"
_NUMBER = re.compile(r'"N": "[^"]{16,}"')
_TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/records/stream/2026-11-21T00:00:00.000"
_BEGIN = 1_795_000_000
_WRITES_PER_RECORD = 3


def write_batches(kind: str, records: int, path: Path) -> None:
    """Write so many records of a kind. Numbers have the digits that measured values have."""
    changes = _uploads(records) if kind == UPLOADS else _changes(kind, records)
    chosen = [_record(number, change) for number, change in zip(range(records), changes, strict=False)]
    if len(chosen) < records:
        raise RuntimeError("too few writes were drawn")
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, records, BATCH):
            batch = json.dumps(chosen[first : first + BATCH])
            file.write(_NUMBER.sub('"N": "71.25"', batch) + "\n")


def _changes(kind: str, records: int) -> list[Change]:
    drawn = draw(_SEED, records * _WRITES_PER_RECORD).changes
    return [change for change in drawn if change.key.item_type in KINDS[kind]]


def _uploads(records: int) -> Sequence[Change]:
    changes: list[Change] = []
    for number in range(records // 2):
        key = Key(f"UPLOAD#{number:064x}", "", "Upload")
        arrived: Image = {
            "id": {"S": key.id},
            "itemType": {"S": "Upload"},
            "phase": {"S": "UPLOADED"},
            "bucket": {"S": "uploads-123456789012"},
            "key": {"S": f"uploads/bench/{number}/results.ndjson"},
            "size": {"N": str(1000 + number)},
            "etag": {"S": f"{number:032x}"},
            "versionId": {"S": f"version-{number}"},
            "sequencer": {"S": f"{number:018X}"},
            "identity": {"S": "bench"},
        }
        done = {**arrived, "phase": {"S": "PROCESSED"}, "processedBy": {"S": f"JOB#{number:064x}"}}
        changes += [Change(key, INSERT, None, arrived), Change(key, MODIFY, arrived, done)]
    return changes


def batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The batches of such a file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _record(number: int, change: Change) -> dict[str, Any]:
    """As Pipes hands a record on: Amazon EventBridge User Guide, «Amazon DynamoDB stream as a source»."""
    stream: dict[str, Any] = {
        "ApproximateCreationDateTime": _BEGIN + number // 50,
        "Keys": {name: value for name, value in change.key.image.items() if value["S"]},
        "SequenceNumber": str(40_000_000_000_000_000_000 + number),
        "SizeBytes": 600,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    images: list[tuple[str, Image | None]] = [("NewImage", change.new), ("OldImage", change.old)]
    stream |= {name: _without_binary(image) for name, image in images if image is not None}
    return {
        "eventID": f"{number:032x}",
        "eventName": change.name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": stream,
        "eventSourceARN": _TABLE,
    }


def _without_binary(image: Image) -> Image:
    return {name: value for name, value in image.items() if "B" not in value}
