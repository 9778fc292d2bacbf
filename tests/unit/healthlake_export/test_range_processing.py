from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthlake_export import quarantine as quarantine_module
from healthlake_export import range_processing
from healthlake_export.byte_ranges import ByteRange, ExportedObject, cut_into_ranges
from healthlake_export.change_events import event_id
from healthlake_export.errors import (
    EventsNotAccepted,
    RangeChanged,
    ReconciliationFailed,
    RunSuperseded,
)
from healthlake_export.event_publisher import EventPublisher
from healthlake_export.ledger import Ledger, LedgerItem
from healthlake_export.ndjson import RangeLines
from healthlake_export.range_processing import LineOutcomes, RangeProcessor
from healthlake_export.reconciliation import Totals, reconcile
from healthlake_export.resource_keys import Rejection, ResourceKeys, read_keys
from healthlake_export.retry_policy import RetryPolicy
from healthlake_export.run_context import RunContext
from healthlake_export.settings import ExportSettings

KEY = "exports/run-1/store-FHIR_EXPORT-job/Patient/Patient-0-0-0.ndjson"
ARN = "arn:aws:states:us-east-1:000000000000:execution:export:run-1"
REQUESTED_AT = "2026-11-20T10:00:00.000Z"
SETTINGS = cast(
    ExportSettings,
    SimpleNamespace(
        table="hub-table", bucket="hub-bucket", bus="hub-bus", overlap_seconds=120, max_inline_bytes=204_800
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


def patient(number: int, last_updated: str = "2026-11-20T09:59:30.000Z") -> bytes:
    return json.dumps(
        {
            "resourceType": "Patient",
            "id": f"p{number}",
            "meta": {"versionId": "1", "lastUpdated": last_updated},
        }
    ).encode()


def id_of(text: bytes) -> bytes:
    keys = read_keys(text)
    assert isinstance(keys, ResourceKeys)
    return event_id("store", keys, text)


@dataclass
class Lab:
    """One exported object in fakes of the three services."""

    s3: Any
    bus: Any
    table: Any

    @property
    def exported(self) -> ExportedObject:
        return ExportedObject(KEY, len(self.s3.objects[KEY]), self.s3.etag(KEY))

    def ranges(self, size: int = 1 << 20) -> list[ByteRange]:
        return list(cut_into_ranges([self.exported], size))

    def process(self, pieces: Sequence[ByteRange], run: RunContext = RUN) -> list[LedgerItem]:
        processor = RangeProcessor(
            s3=self.s3,
            events=self.bus,
            dynamodb=self.table,
            settings=SETTINGS,
            run=run,
            requested_at=REQUESTED_AT,
            clock=lambda: datetime(2026, 11, 20, 10, 30, tzinfo=UTC),
            policy=RetryPolicy(tries=2, sleep=lambda _: None),
        )
        return [processor.process(piece) for piece in pieces]

    def reconcile(self, pieces: Sequence[ByteRange], run: RunContext = RUN) -> Totals:
        plan = {
            "files": 1,
            "ranges": len(pieces),
            "bytes": self.exported.size,
            "quarantined": 0,
        }
        return reconcile(plan, pieces, Ledger(self.table, "hub-table", run).read(), events=run.events)

    def published(self) -> list[str]:
        return [json.loads(entry["Detail"])["meta"]["id"] for entry in self.bus.entries]

    def quarantined(self) -> list[dict[str, Any]]:
        return [
            json.loads(record)
            for key in sorted(self.s3.objects)
            if key.startswith("quarantine/") and key.endswith(".ndjson")
            for record in self.s3.objects[key].splitlines()
        ]


class MakeLab:
    def __init__(self, s3: Any, bus: Any, table: Any) -> None:
        self._makers = s3, bus, table

    def __call__(self, content: bytes, **objects: bytes) -> Lab:
        s3, bus, table = self._makers
        return Lab(s3({KEY: content, **objects}), bus(), table(ARN))


@pytest.fixture(scope="session")
def make_lab(fake_s3: Any, fake_bus: Any, fake_table: Any) -> MakeLab:
    return MakeLab(fake_s3, fake_bus, fake_table)


def test_every_resource_is_published_and_accounted_for(make_lab: MakeLab) -> None:
    content = b"\n".join(patient(number) for number in range(25)) + b"\n\n"
    lab = make_lab(content)
    (entry,) = lab.process(lab.ranges())
    assert lab.published() == [f"p{number}" for number in range(25)]
    assert entry == LedgerItem(
        index=0,
        key=KEY,
        etag=lab.exported.etag,
        start=0,
        end=len(content),
        first_line_at=0,
        lines_end_at=len(content),
        line_bytes=len(content) - 1,
        blank_bytes=1,
        blank=1,
        lines=25,
        rows=25,
        published=25,
        repeated=0,
        quarantined=0,
        published_ids=25,
        completed_at="2026-11-20T10:30:00.000Z",
    )


def test_the_ledger_reads_back_what_was_written(make_lab: MakeLab) -> None:
    lab = make_lab(patient(1) + b"\n" + patient(2))
    written = lab.process(lab.ranges(50))
    assert list(Ledger(lab.table, "hub-table", RUN).read()) == written
    assert any(entry.first_line_at is None for entry in written)


def test_a_snapshot_run_publishes_snapshots(make_lab: MakeLab) -> None:
    lab = make_lab(patient(1))
    lab.process(lab.ranges(), replace(RUN, snapshot=True))
    assert [entry["DetailType"] for entry in lab.bus.entries] == ["FhirResourceSnapshot"]


def test_without_events_rows_are_counted_and_nothing_is_published(make_lab: MakeLab) -> None:
    run = replace(RUN, events=False)
    lab = make_lab(patient(1) + b"\n" + patient(2))
    (entry,) = lab.process(lab.ranges(), run)
    assert (entry.rows, entry.published, entry.published_ids) == (2, 0, 0)
    assert lab.bus.entries == []
    assert lab.reconcile(lab.ranges(), run).rows == 2


def test_what_the_run_before_published_is_counted_as_repeated_and_not_published(make_lab: MakeLab) -> None:
    lab = make_lab(patient(1) + b"\n" + patient(2) + b"\n", **{"runs/run-0/ids": id_of(patient(1))})
    run = replace(RUN, previous_ids="runs/run-0/ids")
    (entry,) = lab.process(lab.ranges(), run)
    assert lab.published() == ["p2"]
    assert (entry.rows, entry.repeated, entry.published) == (1, 1, 1)
    assert lab.reconcile(lab.ranges(), run).repeated == 1


def test_ids_of_the_overlap_are_kept_sorted_with_those_that_were_repeated(make_lab: MakeLab) -> None:
    texts = [patient(1), patient(2), patient(3, "2026-11-20T09:00:00.000Z")]
    lab = make_lab(b"\n".join(texts), **{"runs/run-0/ids": id_of(texts[0])})
    (entry,) = lab.process(lab.ranges(), replace(RUN, previous_ids="runs/run-0/ids"))
    kept = b"".join(sorted(map(id_of, texts[:2])))
    assert lab.s3.objects["runs/run-1/published-ids/000000.bin"] == kept
    assert entry.published_ids == 2


@pytest.mark.parametrize(
    "run", [replace(RUN, advances_watermark=False), replace(RUN, events=False)], ids=["replay", "no events"]
)
def test_a_run_that_no_other_follows_on_leaves_no_ids(make_lab: MakeLab, run: RunContext) -> None:
    lab = make_lab(patient(1))
    lab.process(lab.ranges(), run)
    assert not [key for key in lab.s3.objects if "published-ids" in key]


def test_a_line_that_is_not_utf8_is_quarantined_in_base64(make_lab: MakeLab) -> None:
    line = b'{"resourceType":"Patient","id":"p\xff"}'
    lab = make_lab(line + b"\n" + patient(2))
    lab.process(lab.ranges())
    (record,) = lab.quarantined()
    assert record["reason"] == "NOT_UTF8"
    assert base64.b64decode(record["lineBase64"]) == line
    assert lab.published() == ["p2"]


def test_a_large_broken_line_gets_an_object_of_its_own(make_lab: MakeLab) -> None:
    line = b'{"broken":"' + b"x" * (2 << 20)
    lab = make_lab(patient(1) + b"\n" + line + b"\n" + patient(2))
    lab.process(lab.ranges(1 << 30))
    (record,) = lab.quarantined()
    at = len(patient(1)) + 1
    assert record["rawKey"] == f"quarantine/run-1/000000-{at}.raw"
    assert lab.s3.objects[record["rawKey"]] == line
    assert lab.published() == ["p1", "p2"]


def test_a_line_past_the_limit_is_copied_without_being_read_as_one(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        range_processing,
        "RangeLines",
        lambda chunks, **extent: RangeLines(chunks, max_line_bytes=200, **extent),
    )
    monkeypatch.setattr("healthlake_export.object_bytes._COPY_PART_BYTES", 100)
    line = b'{"long":"' + b"0123456789" * 35 + b'"}\n'
    lab = make_lab(patient(1) + b"\n" + line + patient(2))
    (entry,) = lab.process(lab.ranges())
    (record,) = lab.quarantined()
    assert record["reason"] == "TOO_LONG"
    assert lab.s3.objects[record["rawKey"]] == line
    assert lab.published() == ["p1", "p2"]
    assert lab.reconcile(lab.ranges()).quarantined == entry.quarantined == 1


def test_records_go_into_parts_that_a_retry_overwrites(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_module, "PART_BYTES", 300)
    lab = make_lab(b"broken\n" * 10)
    lab.process(lab.ranges())
    objects = dict(lab.s3.objects)
    lab.process(lab.ranges())
    assert lab.s3.objects == objects
    assert "quarantine/run-1/000000-001.ndjson" in objects
    assert len(lab.quarantined()) == 10


def test_doing_a_range_again_publishes_the_same_ids_and_leaves_the_same_ledger(make_lab: MakeLab) -> None:
    lab = make_lab(b"\n".join(patient(number) for number in range(12)))
    first = lab.process(lab.ranges())
    assert lab.process(lab.ranges()) == first
    ids = [json.loads(entry["Detail"])["meta"]["eventId"] for entry in lab.bus.entries]
    assert ids[:12] == ids[12:]
    assert len(lab.table.items) == 1


def test_a_run_that_was_superseded_reads_nothing(make_lab: MakeLab) -> None:
    lab = make_lab(patient(1))
    lab.table.owner = "another"
    with pytest.raises(RunSuperseded):
        lab.process(lab.ranges())
    assert lab.s3.reads == []


def test_a_run_that_is_superseded_meanwhile_writes_no_ledger(make_lab: MakeLab) -> None:
    lab = make_lab(patient(1))
    lab.table.refusals = ["ConditionalCheckFailed"]
    with pytest.raises(RunSuperseded):
        lab.process(lab.ranges())
    assert lab.table.items == {}


def test_an_object_that_was_replaced_is_not_read(make_lab: MakeLab) -> None:
    lab = make_lab(patient(1))
    pieces = lab.ranges()
    lab.s3.objects[KEY] = patient(2)
    with pytest.raises(RangeChanged, match=KEY):
        lab.process(pieces)
    assert lab.table.items == {}


def test_an_object_that_is_gone_is_a_changed_range(make_lab: MakeLab) -> None:
    lab = make_lab(patient(1))
    pieces = lab.ranges()
    del lab.s3.objects[KEY]
    with pytest.raises(RangeChanged):
        lab.process(pieces)


def test_the_ledger_is_not_written_before_events_are_accepted(make_lab: MakeLab) -> None:
    lab = make_lab(patient(1))
    lab.bus.put_events = lambda Entries: {"Entries": [{"ErrorCode": "InternalFailure"} for _ in Entries]}  # noqa: N803
    with pytest.raises(EventsNotAccepted):
        lab.process(lab.ranges())
    assert lab.table.items == {}


def test_a_transaction_that_met_another_is_tried_again(fake_table: Any) -> None:
    table = fake_table(ARN, "TransactionConflict", "TransactionConflict")
    waits: list[float] = []
    policy = RetryPolicy(tries=5, sleep=waits.append, chance=lambda: 1.0)
    Ledger(table, "hub-table", RUN, policy).write(ENTRY)
    assert table.calls == 3
    assert len(waits) == 2


def test_conflicts_are_not_retried_for_ever(fake_table: Any) -> None:
    table = fake_table(ARN, *["TransactionConflict"] * 9)
    policy = RetryPolicy(tries=3, sleep=lambda _: None)
    with pytest.raises(fake_table.TransactionCanceledException):
        Ledger(table, "hub-table", RUN, policy).write(ENTRY)
    assert table.calls == 3


def test_a_refusal_that_no_retry_changes_is_not_retried(fake_table: Any) -> None:
    table = fake_table(ARN, "ValidationError")
    with pytest.raises(fake_table.TransactionCanceledException):
        Ledger(table, "hub-table", RUN).write(ENTRY)
    assert table.calls == 1


ENTRY = LedgerItem(0, KEY, '"e"', 0, 10, 0, 10, 10, 0, 0, 1, 1, 1, 0, 0, 0, "2026-11-20T10:30:00.000Z")

CORRUPT = st.sampled_from(
    [
        (b'{"resourceType":"Patient","id":"p1"', Rejection.NOT_JSON),
        (b'{"resourceType":"Patient","id":"\xff"}', Rejection.NOT_UTF8),
        (b"[]", Rejection.NOT_AN_OBJECT),
        (b'{"id":"p1"}', Rejection.NO_RESOURCE_TYPE),
        (b'{"resourceType":"Patient"}', Rejection.NO_ID),
        (b'{"resourceType":"Patient","id":1}', Rejection.WRONG_TYPE),
        (b'{"a":' + b"[" * 1100 + b"]" * 1100 + b"}", Rejection.TOO_DEEP),
    ]
)


@given(
    st.lists(CORRUPT | st.none(), max_size=8),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \n"]),
    st.booleans(),
    st.integers(10, 400),
)
def test_a_corrupt_line_is_quarantined_with_reason_file_and_offset_while_the_others_go_through(
    make_lab: MakeLab,
    faults: list[tuple[bytes, Rejection] | None],
    separator: bytes,
    ends_with_newline: bool,
    range_size: int,
) -> None:
    lines = [fault[0] if fault else patient(number) for number, fault in enumerate(faults)]
    content = separator.join(lines) + (separator if ends_with_newline and lines else b"")
    lab = make_lab(content)
    pieces = lab.ranges(range_size)
    lab.process(pieces)

    assert lab.published() == [f"p{number}" for number, fault in enumerate(faults) if fault is None]
    records = lab.quarantined()
    assert [record["reason"] for record in records] == [fault[1] for fault in faults if fault]
    for record, fault in zip(records, [fault for fault in faults if fault], strict=True):
        source = record["source"]
        assert (source["bucket"], source["key"], source["etag"]) == ("hub-bucket", KEY, lab.exported.etag)
        whole = content[source["offset"] : source["offset"] + source["length"]]
        assert whole.rstrip(b"\r\n") == fault[0]
        kept = base64.b64decode(record["lineBase64"]) if "lineBase64" in record else record["line"].encode()
        assert kept == fault[0]
    if pieces:
        totals = lab.reconcile(pieces)
        assert (totals.lines, totals.rows, totals.quarantined) == (
            len(faults),
            len(lab.published()),
            len(records),
        )


def skip_a_line(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The range function leaves a line out."""
    take = LineOutcomes.take
    monkeypatch.setattr(
        LineOutcomes, "take", lambda self, line: None if b'"p3"' in line.text else take(self, line)
    )


def skip_a_line_and_count_its_bytes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    take = LineOutcomes.take

    def mutant(self: LineOutcomes, line: Any) -> None:
        if b'"p3"' in line.text:
            self.line_bytes += line.length
        else:
            take(self, line)

    monkeypatch.setattr(LineOutcomes, "take", mutant)


def count_a_line_and_do_not_publish_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = EventPublisher.publish
    monkeypatch.setattr(
        EventPublisher,
        "publish",
        lambda self, event: None if '"p3"' in event.entry["Detail"] else publish(self, event),
    )


def publish_a_line_twice(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = EventPublisher.publish

    def mutant(self: EventPublisher, event: Any) -> None:
        publish(self, event)
        if '"p3"' in event.entry["Detail"]:
            publish(self, event)

    monkeypatch.setattr(EventPublisher, "publish", mutant)


def split_without_a_line(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The splitter itself loses a line, and does not count it."""
    iterate = RangeLines.__iter__

    def mutant(self: RangeLines) -> Any:
        for line in iterate(self):
            if b'"p3"' in getattr(line, "text", b""):
                self.lines -= 1
            else:
                yield line

    monkeypatch.setattr(RangeLines, "__iter__", mutant)


def read_from_the_range_itself(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A range that does not look at the byte before it loses the line that begins with it."""
    monkeypatch.setattr("healthlake_export.ndjson.reading_starts_at", lambda start: start)
    monkeypatch.setattr(range_processing, "reading_starts_at", lambda start: start)


def own_the_line_that_begins_after_the_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    initialise = RangeLines.__init__

    def mutant(self: RangeLines, chunks: Any, *, start: int, end: int) -> None:
        initialise(self, chunks, start=start, end=end + 1)

    monkeypatch.setattr(RangeLines, "__init__", mutant)


def forget_what_was_quarantined(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine_module.Quarantine, "reject", lambda self, line, reason: None)


def lose_the_ledger_of_a_range(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Ledger.write
    monkeypatch.setattr(Ledger, "write", lambda self, entry: None if entry.index == 1 else write(self, entry))


WIDTH = len(patient(1)) + 1


@pytest.mark.parametrize(
    "mutate",
    [
        skip_a_line,
        skip_a_line_and_count_its_bytes,
        count_a_line_and_do_not_publish_it,
        publish_a_line_twice,
        split_without_a_line,
        read_from_the_range_itself,
        own_the_line_that_begins_after_the_end,
        forget_what_was_quarantined,
        lose_the_ledger_of_a_range,
    ],
    ids=lambda mutate: str(mutate.__name__),
)
def test_a_range_function_with_a_fault_does_not_reconcile(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, mutate: Any
) -> None:
    content = b"".join(patient(number) + b"\n" for number in range(9)) + b"broken\n"
    lab = make_lab(content)
    pieces = lab.ranges(2 * WIDTH)
    lab.process(pieces)
    assert lab.reconcile(pieces).lines == 10

    faulty = make_lab(content)
    mutate(faulty, monkeypatch)
    faulty.process(pieces)
    with pytest.raises(ReconciliationFailed):
        faulty.reconcile(pieces)
