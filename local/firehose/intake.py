"""PutRecord and PutRecordBatch.

AWS documentation: Amazon Data Firehose API Reference, pages of these names: 500 records and 4 MiB a call,
1,000 KiB a record, and failures record by record under status 200.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.account.ministack_names import ministack
from local.firehose import metrics
from local.firehose.destinations import destination_of
from local.firehose.records import Record

RECORD_LIMIT = 1000 * 1024
BATCH_RECORDS, BATCH_LIMIT = 500, 4 << 20

Answer = tuple[int, dict[str, str], bytes]
Take = Callable[[Mapping[str, Any], list[Record]], None]


class Refused(ValueError):
    """A request that breaks a rule of the API."""


@dataclass
class Faults:
    """Records of batches that fail because somebody asked for it."""

    records: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, records: int) -> None:
        """Let that many of the next records of batches fail."""
        with self._lock:
            self.records = records

    def take_one(self) -> bool:
        """Whether the next record fails."""
        with self._lock:
            failing = self.records > 0
            self.records -= failing
            return failing


@dataclass(frozen=True)
class Intake:
    """The two actions; `take` is given a stream and its records."""

    take: Take
    now: Callable[[], float]
    faults: Faults

    def put_record(self, data: Mapping[str, Any]) -> Answer:
        """PutRecord."""
        stream = _stream(data)
        if stream is None:
            return _not_found(data)
        try:
            record = self._record(data.get("Record") or {})
        except Refused as refusal:
            return _refused(str(refusal))
        self._put(stream, [record])
        return _answer({"RecordId": record.record_id, "Encrypted": stream.get("encryption") is not None})

    def put_record_batch(self, data: Mapping[str, Any]) -> Answer:
        """PutRecordBatch."""
        stream = _stream(data)
        if stream is None:
            return _not_found(data)
        given = data.get("Records") or []
        if not 1 <= len(given) <= BATCH_RECORDS:
            return _refused(f"A batch has 1 to {BATCH_RECORDS} records.")
        try:
            records = [self._record(one) for one in given]
        except Refused as refusal:
            return _refused(str(refusal))
        if sum(len(record.data) for record in records) > BATCH_LIMIT:
            return _refused("Records size exceeds 4 MB limit")
        failing = [self.faults.take_one() for _ in records]
        self._put(stream, [record for record, fails in zip(records, failing, strict=True) if not fails])
        return _answer(
            {
                "FailedPutCount": sum(failing),
                "Encrypted": stream.get("encryption") is not None,
                "RequestResponses": [
                    {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
                    if fails
                    else {"RecordId": record.record_id}
                    for record, fails in zip(records, failing, strict=True)
                ],
            }
        )

    def deliver(
        self, stream: Mapping[str, Any], _destination: object, records: list[tuple[str, bytes]]
    ) -> None:
        """What ministack calls with records of a Kinesis stream."""
        arrived = self.now()
        self._put(stream, [Record(record_id, arrived, data) for record_id, data in records])

    def _put(self, stream: Mapping[str, Any], records: list[Record]) -> None:
        if not records:
            return
        self.take(stream, records)
        for destination in stream["destinations"]:
            if destination["type"] in ("ExtendedS3", "S3"):
                size = sum(len(record.data) for record in records)
                metrics.put(
                    destination_of(stream, destination), IncomingRecords=len(records), IncomingBytes=size
                )

    def _record(self, given: Mapping[str, Any]) -> Record:
        try:
            data = base64.b64decode(given.get("Data", ""), validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise Refused("Record.Data must be valid base64.") from None
        if len(data) > RECORD_LIMIT:
            raise Refused(
                "1 validation error detected: Value at 'record.data' failed to satisfy constraint: "
                f"Member must have length less than or equal to {RECORD_LIMIT}"
            )
        return Record(ministack("ministack.services.firehose")._record_id(), self.now(), data)


def _stream(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = ministack("ministack.services.firehose")._streams.get(
        data.get("DeliveryStreamName", "")
    )
    return found


def _not_found(data: Mapping[str, Any]) -> Answer:
    account = ministack("ministack.core.responses").get_account_id()
    name = data.get("DeliveryStreamName", "")
    return _error("ResourceNotFoundException", f"Firehose {name} under account {account} not found.")


def _refused(message: str) -> Answer:
    return _error("InvalidArgumentException", message)


def _error(code: str, message: str) -> Answer:
    body = json.dumps({"__type": code, "message": message}).encode()
    return 400, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}, body


def _answer(body: Mapping[str, Any]) -> Answer:
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()
