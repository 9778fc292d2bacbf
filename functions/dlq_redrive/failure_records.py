"""What services write into the dead letters that they send, read without losing a byte of what they carry.

- A failed asynchronous invocation: AWS Lambda Developer Guide, «Capturing records of Lambda asynchronous
  invocations».
- A batch of a stream that failed: AWS Lambda Developer Guide, «Retaining discarded batch records for a
  DynamoDB event source in Lambda»; of a pipe the same with `context` instead: Amazon EventBridge User Guide,
  «Amazon EventBridge Pipes error handling and troubleshooting».
- An event that could not be delivered: Amazon EventBridge User Guide, «Using dead-letter queues to process
  undelivered events in EventBridge» and «AWS service event metadata».
"""

from __future__ import annotations

from typing import TypeVar

import msgspec


class _Context(msgspec.Struct):
    functionArn: str = ""  # noqa: N815 - the name in the record
    partnerResourceArn: str = ""  # noqa: N815


class InvocationRecord(msgspec.Struct):
    """An asynchronous invocation that failed; `requestPayload` is the JSON that the function was given."""

    requestContext: _Context  # noqa: N815
    requestPayload: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815

    @property
    def function_arn(self) -> str:
        """The function that was invoked, with its qualifier."""
        return self.requestContext.functionArn


class Position(msgspec.Struct, frozen=True):
    """Where a batch stands in a stream: a shard, and the first and last sequence number."""

    streamArn: str  # noqa: N815
    shardId: str  # noqa: N815
    startSequenceNumber: str  # noqa: N815
    endSequenceNumber: str  # noqa: N815
    batchSize: int = 0  # noqa: N815
    approximateArrivalOfFirstRecord: str = ""  # noqa: N815


class PositionRecord(msgspec.Struct):
    """A batch of a stream that failed, and the function or pipe that it failed in."""

    DDBStreamBatchInfo: Position
    requestContext: _Context = msgspec.field(default_factory=_Context)  # noqa: N815
    context: _Context = msgspec.field(default_factory=_Context)


class BusEvent(msgspec.Struct):
    """An event as EventBridge sends it; `detail` is the JSON that was put."""

    source: str
    detail: msgspec.Raw
    detail_type: str = msgspec.field(name="detail-type")
    time: str = ""
    resources: list[str] = []


_Record = TypeVar("_Record", InvocationRecord, PositionRecord, BusEvent)


def read_record(body: str, shape: type[_Record]) -> _Record | None:
    """The record in a message's body, None when it has another shape."""
    try:
        return msgspec.json.decode(body.encode(), type=shape)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
