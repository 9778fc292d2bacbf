"""Rows that were too large to travel, in the hub's bucket, and the way back into the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from change_stream.lake_partitions import RefusedRow, RowReference, RowRefusal
from common.errors import AwsCallFailed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "changes/rows/"
BATCH_RECORDS = 500
"""Records of one PutRecordBatch; references are so small that its bytes are never reached."""


@dataclass(frozen=True)
class RowsOfTheHub:
    """Reads rows below their prefix of `bucket` alone: what comes through a stream names any place."""

    s3: S3Client
    firehose: Any
    bucket: str
    stream: str

    def read(self, reference: RowReference) -> bytes:
        """The row's text. Raises `RefusedRow` for another place, and where it is gone or differs."""
        if reference.bucket != self.bucket or not reference.key.startswith(PREFIX):
            raise RefusedRow(RowRefusal.REFERENCE)
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=reference.key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                raise RefusedRow(RowRefusal.REFERENCED_ROW) from None
            raise
        if len(body) != reference.length:
            raise RefusedRow(RowRefusal.REFERENCED_ROW)
        return body

    def send_back(self, records: Sequence[bytes]) -> None:
        """Put records into the stream once more. Raises `AwsCallFailed` where it does not take them
        all; those that it took come twice then, which is no harm."""
        for first in range(0, len(records), BATCH_RECORDS):
            batch = [{"Data": record} for record in records[first : first + BATCH_RECORDS]]
            answer = self.firehose.put_record_batch(DeliveryStreamName=self.stream, Records=batch)
            if answer["FailedPutCount"]:
                raise AwsCallFailed("PutRecordBatch did not take every record.")
