"""Processing of byte ranges in memory: an exported object, and what processing it left behind."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from common.retry_policy import RetryPolicy
from healthlake_export.byte_ranges import ByteRange, ExportedObject, cut_into_ranges
from healthlake_export.change_events import event_id
from healthlake_export.ledger import Ledger, LedgerItem
from healthlake_export.range_processing import RangeProcessor
from healthlake_export.reconciliation import Totals, reconcile
from healthlake_export.resource_keys import ResourceKeys, read_keys
from healthlake_export.run_context import RunContext
from healthlake_export.settings import ExportSettings
from local.testing.fake_services import FakeBus, FakeS3, FakeTable

KEY = "exports/run-1/store-FHIR_EXPORT-job/Patient/Patient-0-0-0.ndjson"
ARN = "arn:aws:states:us-east-1:000000000000:execution:export:run-1"
REQUESTED_AT = "2026-11-20T10:00:00.000Z"
SETTINGS = cast(
    ExportSettings,
    SimpleNamespace(
        table="hub-table",
        bucket="hub-bucket",
        lake_bucket="lake-bucket",
        bus="hub-bus",
        overlap_seconds=120,
        max_inline_bytes=204_800,
    ),
)
RUN = RunContext(
    run_id="run-1",
    execution_arn=ARN,
    datastore_id="store",
    mode="incremental",
    snapshot=False,
    events=True,
    since=None,
    until=None,
    types=(),
    started_at="2026-11-20T09:59:00.000Z",
    advances_watermark=True,
    previous_ids=None,
)
PATIENT = RetryPolicy(tries=2, sleep=lambda _: None)


def patient(number: int, last_updated: str = "2026-11-20T09:59:30.000Z") -> bytes:
    return json.dumps(
        {
            "resourceType": "Patient",
            "id": f"p{number}",
            "meta": {"versionId": "1", "lastUpdated": last_updated},
        }
    ).encode()


def accounted(piece: ByteRange, lines: int) -> LedgerItem:
    """A ledger item of a range of so many lines, all of them published, in which everything adds up."""
    return LedgerItem(
        index=piece.index,
        key=piece.key,
        etag=piece.etag,
        start=piece.start,
        end=piece.end,
        first_line_at=piece.start,
        lines_end_at=piece.end,
        line_bytes=piece.end - piece.start,
        blank_bytes=0,
        blank=0,
        lines=lines,
        rows=lines,
        published=lines,
        batched=0,
        repeated=0,
        quarantined=0,
        withheld=0,
        lake_files=1,
        lake_rows=lines,
        lake_bytes=lines,
        published_ids=0,
        completed_at="2026-11-20T10:30:00.000Z",
    )


def id_of(text: bytes) -> bytes:
    keys = read_keys(text)
    assert isinstance(keys, ResourceKeys)
    return event_id("store", keys, text)


def text_of(record: Mapping[str, Any], read_object: Callable[[str], bytes]) -> bytes:
    """The line that a quarantine record keeps; one that was copied within S3 has its terminator."""
    if "line" in record:
        text: str = record["line"]
        return text.encode()
    if "lineBase64" in record:
        return base64.b64decode(record["lineBase64"])
    return read_object(record["rawKey"])


@dataclass
class Lab:
    """One exported object in fakes of the three services."""

    s3: FakeS3
    bus: FakeBus
    table: FakeTable

    @classmethod
    def holding(cls, content: bytes, **objects: bytes) -> Lab:
        """A lab whose exported object is `content`, beside other `objects`."""
        return cls(FakeS3({KEY: content, **objects}), FakeBus(), FakeTable(ARN))

    @property
    def exported(self) -> ExportedObject:
        return ExportedObject(KEY, len(self.s3.objects[KEY]), self.s3.etag(KEY))

    def ranges(self, size: int = 1 << 20) -> list[ByteRange]:
        return list(cut_into_ranges([self.exported], size))

    def process(self, pieces: Sequence[ByteRange], run: RunContext = RUN) -> list[LedgerItem]:
        processor = RangeProcessor(
            s3=cast(Any, self.s3),
            events=cast(Any, self.bus),
            dynamodb=cast(Any, self.table),
            settings=SETTINGS,
            run=run,
            requested_at=REQUESTED_AT,
            clock=lambda: datetime(2026, 11, 20, 10, 30, tzinfo=UTC),
            policy=PATIENT,
        )
        return [processor.process(piece) for piece in pieces]

    def reconcile(self, pieces: Sequence[ByteRange], run: RunContext = RUN) -> Totals:
        plan = {
            "files": 1,
            "ranges": len(pieces),
            "bytes": self.exported.size,
            "quarantined": 0,
        }
        return reconcile(plan, pieces, self.ledger(run).read(), events=run.events)

    def ledger(self, run: RunContext = RUN, policy: RetryPolicy = PATIENT) -> Ledger:
        return Ledger(cast(Any, self.table), "hub-table", run, policy)

    def published(self) -> list[str]:
        return [json.loads(entry["Detail"])["meta"]["id"] for entry in self.bus.entries]

    def quarantined(self) -> list[dict[str, Any]]:
        return [
            json.loads(record)
            for key in sorted(self.s3.objects)
            if key.startswith("quarantine/") and key.endswith(".ndjson")
            for record in self.s3.objects[key].splitlines()
        ]

    def text_of(self, record: Mapping[str, Any]) -> bytes:
        """The line that a quarantine record keeps."""
        return text_of(record, self.s3.objects.__getitem__)
