"""Where a batch of a stream stands, as records of failures tell it.

AWS documentation: AWS Lambda Developer Guide, «Retaining discarded batch records for a DynamoDB event source
in Lambda»; Amazon EventBridge User Guide, «Amazon EventBridge Pipes error handling and troubleshooting».
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from local.streams.batches import Records
from local.streams.records import SHARD_ID


def batch_info(stream_arn: str, records: Records) -> dict[str, Any]:
    """`DDBStreamBatchInfo` of records, in order and at least one."""
    first, last = records[0], records[-1]
    return {
        "shardId": SHARD_ID,
        "startSequenceNumber": first.sequence_number,
        "endSequenceNumber": last.sequence_number,
        "approximateArrivalOfFirstRecord": _seconds(first.created),
        "approximateArrivalOfLastRecord": _seconds(last.created),
        "batchSize": len(records),
        "streamArn": stream_arn,
    }


def timestamp(moment: float) -> str:
    """Epoch seconds as the time of a record of a failure."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
