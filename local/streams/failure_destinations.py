"""Where Lambda sends what it gives up of a stream: a queue, a topic, or a bucket, which gets the records too.

AWS documentation: AWS Lambda Developer Guide, «Retaining discarded batch records for a DynamoDB event source
in Lambda».
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from local.streams.batches import Condition, Records
from local.streams.position_records import batch_info, timestamp
from local.streams.records import SHARD_ID, json_list
from local.streams.role_calls import CallFailed, RoleCalls


@dataclass(frozen=True)
class Discarded:
    """Records that are given up, and what is told of it. `function_error` is empty without an error."""

    mapping_id: str
    function_arn: str
    stream_arn: str
    records: Records
    condition: Condition
    attempts: int
    function_error: str = ""

    def told(self) -> dict[str, Any]:
        """The record of the failure, without the records of the stream."""
        response: dict[str, Any] = {"statusCode": 200, "executedVersion": "$LATEST"}
        if self.function_error:
            response["functionError"] = self.function_error
        return {
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": self.function_arn,
                "condition": str(self.condition),
                "approximateInvokeCount": self.attempts,
            },
            "responseContext": response,
            "version": "1.0",
            "timestamp": timestamp(time.time()),
            "DDBStreamBatchInfo": batch_info(self.stream_arn, self.records),
        }


def deliver(calls: RoleCalls, destination: str, discarded: Discarded) -> None:
    """Send the record of a failure with the rights of the function's role; raises CallFailed."""
    service = (destination.split(":") + [""] * 3)[2]
    told = discarded.told()
    if service == "s3":
        _put_object(calls, destination.rpartition(":")[2], discarded, told)
    elif service in _SENDING:
        send(calls, destination, json.dumps(told))
    else:
        raise CallFailed("InvalidParameterValueException", f"{destination} is no destination of a stream.")


def send(calls: RoleCalls, destination: str, body: str) -> None:
    """Send a text to a queue or topic; raises CallFailed."""
    service = destination.split(":")[2]
    calls.require(_SENDING[service], destination)
    if service == "sns":
        data = {"Action": "Publish", "TopicArn": destination, "Message": body}
        calls.query_call("sns", urlencode(data).encode())
    else:
        message = {"QueueUrl": queue_url(destination), "MessageBody": body}
        calls.json_call("sqs", "AmazonSQS.SendMessage", message)


def queue_url(arn: str) -> str:
    """The URL of a queue as SQS takes it, of which only the path counts."""
    account, name = arn.split(":")[4:6]
    return f"http://127.0.0.1/{account}/{name}"


_SENDING: Mapping[str, str] = {"sns": "sns:Publish", "sqs": "sqs:SendMessage"}


def _put_object(calls: RoleCalls, bucket: str, discarded: Discarded, told: Mapping[str, Any]) -> None:
    key = _key(discarded.mapping_id, datetime.now(UTC))
    calls.require("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    calls.require("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
    event = b'{"Records":' + json_list(record.raw for record in discarded.records) + b"}"
    body = json.dumps({**told, "payload": event.decode()}, ensure_ascii=False).encode()
    calls.put_object(f"/{bucket}/{quote(key)}", body)


def _key(mapping_id: str, now: datetime) -> str:
    return f"aws/lambda/{mapping_id}/{SHARD_ID}/{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
