"""Processing of one byte range: what becomes of each line, and the ledger item that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from common.instants import format_instant
from common.retry_policy import RetryPolicy
from healthlake_export import erasures
from healthlake_export.byte_ranges import ByteRange, ExportedObject
from healthlake_export.change_events import CHANGED, EVENT_ID_BYTES, SNAPSHOT, ChangeEventFormat
from healthlake_export.change_publisher import Budget, ChangePublisher, Nothing, Unlimited
from healthlake_export.event_budget import EventBudget
from healthlake_export.event_publisher import EventPublisher
from healthlake_export.lake_files import LakeFiles, Written
from healthlake_export.ledger import Ledger, LedgerItem
from healthlake_export.line_outcomes import Destinations, LineOutcomes
from healthlake_export.ndjson import RangeLines, reading_starts_at
from healthlake_export.object_bytes import ObjectBytes
from healthlake_export.published_id_objects import load_ids, save_range_ids
from healthlake_export.published_ids import IdCollector, OverlapWindow, PublishedIds
from healthlake_export.quarantine import Quarantine
from healthlake_export.run_context import RunContext
from healthlake_export.settings import ExportSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class RangeProcessor:
    """Processes byte ranges of a run with the clients given; `clock` is the time of completion, and
    `counts_events` says that the run may have more resources than it may publish one by one."""

    s3: S3Client
    events: EventBridgeClient
    dynamodb: DynamoDBClient
    settings: ExportSettings
    run: RunContext
    requested_at: str
    clock: Callable[[], datetime]
    policy: RetryPolicy
    counts_events: bool = False

    def process(self, piece: ByteRange) -> LedgerItem:
        """Publish, write to the lake, quarantine and account for every line of `piece`; the ledger item is
        written last, when everything else is safe. Doing it again changes nothing but the time in that item.

        Raises `RunSuperseded`, `RangeChanged` or `EventsNotAccepted`.
        """
        ledger = Ledger(self.dynamodb, self.settings.table, self.run)
        ledger.require_ownership()
        lake = LakeFiles(self.s3, self.settings.lake_bucket, self.run, piece.index)
        try:
            with EventPublisher(self.events, self.policy) as events:
                publisher = ChangePublisher(events, self._event_format(piece), self._budget(piece))
                entry = self._process_lines(piece, publisher, lake, ledger)
        except BaseException:
            lake.abort()
            raise
        ledger.write(entry)
        return entry

    def _process_lines(
        self, piece: ByteRange, publisher: ChangePublisher, lake: LakeFiles, ledger: Ledger
    ) -> LedgerItem:
        bucket, run_id = self.settings.bucket, self.run.run_id
        exported = ExportedObject(piece.key, piece.size, piece.etag)
        chunks = ObjectBytes(self.s3, bucket, exported).chunks(reading_starts_at(piece.start), piece.end)
        lines = RangeLines(chunks, start=piece.start, end=piece.end)
        erased = erasures.read(self.dynamodb, self.settings.table, self.run.datastore_id)
        quarantine = Quarantine(self.s3, bucket, run_id, f"{piece.index:06d}", exported, erased)
        kept_ids = IdCollector()
        outcomes = LineOutcomes(
            self.run.datastore_id,
            Destinations(
                lake,
                quarantine,
                publisher if self.run.events else None,
                kept_ids if self.run.advances_watermark else None,
            ),
            previous=self._previous_ids(),
            overlap=OverlapWindow(self.requested_at, self.settings.overlap_seconds),
            erased=erased,
        )
        for part in lines.blocks():
            outcomes.take(part)
            # The next one is read before it is taken, and mostly is as long.
            outcomes.make_room(min(part.length, lines.ahead))
            del part  # it may be as long as the next one, and both would be held
        outcomes.finish()
        quarantined = quarantine.close()
        ids = kept_ids.sorted_ids()
        save_range_ids(self.s3, bucket, run_id, piece.index, ids)
        ledger.require_ownership()  # the patients of an erasure that has begun since are not known here
        written = lake.complete()
        return self._entry(
            piece, lines, outcomes, publisher, written, quarantined, len(ids) // EVENT_ID_BYTES
        )

    def _budget(self, piece: ByteRange) -> Budget:
        if self.run.batches:
            return Nothing()
        if not self.counts_events:
            return Unlimited()
        return EventBudget(
            self.dynamodb,
            self.settings.table,
            self.run.run_id,
            piece.index,
            limit=self.settings.max_events_per_run,
            at_once=self.settings.max_concurrency,
        )

    def _previous_ids(self) -> PublishedIds:
        if self.run.previous_ids is None:
            return PublishedIds()
        return load_ids(self.s3, self.settings.bucket, self.run.previous_ids)

    def _event_format(self, piece: ByteRange) -> ChangeEventFormat:
        return ChangeEventFormat(
            bus=self.settings.bus,
            detail_type=SNAPSHOT if self.run.snapshot else CHANGED,
            datastore_id=self.run.datastore_id,
            run_id=self.run.run_id,
            bucket=self.settings.bucket,
            key=piece.key,
            max_inline_bytes=self.settings.max_inline_bytes,
        )

    def _entry(
        self,
        piece: ByteRange,
        lines: RangeLines,
        outcomes: LineOutcomes,
        publisher: ChangePublisher,
        written: Written,
        quarantined: int,
        published_ids: int,
    ) -> LedgerItem:
        return LedgerItem(
            index=piece.index,
            key=piece.key,
            etag=piece.etag,
            start=piece.start,
            end=piece.end,
            first_line_at=lines.first_line_at,
            lines_end_at=lines.lines_end_at,
            line_bytes=outcomes.line_bytes,
            blank_bytes=lines.blank_bytes,
            blank=lines.blank_lines,
            lines=lines.lines,
            rows=outcomes.rows,
            published=publisher.published,
            batched=publisher.batched,
            repeated=outcomes.repeated,
            quarantined=quarantined,
            withheld=outcomes.withheld,
            lake_files=written.files,
            lake_rows=written.rows,
            lake_bytes=written.bytes,
            published_ids=published_ids,
            completed_at=format_instant(self.clock()),
        )
