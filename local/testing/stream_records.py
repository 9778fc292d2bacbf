"""Records of a DynamoDB stream, as Lambda gives them to a function.

AWS documentation: «Using AWS Lambda with Amazon DynamoDB», AWS Lambda Developer Guide.
"""

from __future__ import annotations

from typing import Any

STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/hub-jobs/stream/2026-11-21T00:00:00.000"

Item = dict[str, Any]


def stream_record(
    *, old: Item | None = None, new: Item | None = None, number: int = 100, arn: str = STREAM
) -> dict[str, Any]:
    """The record of a change from `old` to `new`, attribute values by name; one of them may be None. The key
    is the attribute `id`, and `sk` where there is one."""
    there = new if new is not None else old
    assert there is not None
    images = {name: image for name, image in (("OldImage", old), ("NewImage", new)) if image is not None}
    return {
        "eventID": f"{number:032x}",
        "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1795269256,
            "Keys": {name: there[name] for name in ("id", "sk") if name in there},
            **images,
            "SequenceNumber": f"{number:025d}",
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": arn,
    }
