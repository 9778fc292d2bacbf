"""Where nothing may stand of what messages say: executions, calls of functions, tables and keys."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3

from local.testing.mocked_hub import BUCKET, REGION, TABLE
from local.testing.redrive_hub import HANDLERS, RedriveHub


def places(hub: RedriveHub) -> Iterator[tuple[str, str]]:
    """Everything that may say nothing of a message, by where it stands."""
    for execution in hub.bench.engine.executions():
        yield "an execution", repr([execution.output_text, execution.error, execution.cause])
        yield from (("a history", repr(event)) for event in execution.events)
    for call in hub.bench.invocations:
        if call.function in HANDLERS:
            yield f"a call of {call.function}", json.dumps([call.event, call.result, call.error])
    yield from (("a status event", json.dumps(event)) for event in hub.bench.status_events)
    items = boto3.client("dynamodb", REGION).get_paginator("scan").paginate(TableName=TABLE)
    yield from (("an item", repr(item)) for page in items for item in page["Items"])
    objects = boto3.client("s3", REGION).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    yield from (("a key", entry["Key"]) for page in objects for entry in page.get("Contents", []))
