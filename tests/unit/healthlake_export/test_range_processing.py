from __future__ import annotations

import json
from dataclasses import replace

import pytest

from healthlake_export.errors import EventsNotAccepted, RangeChanged, RunSuperseded
from healthlake_export.ledger import LedgerItem
from local.testing.range_lab import KEY, RUN, Lab, id_of, patient

LAKE_KEY = "fhir/resource_type=Patient/export_date=2026-11-20/run-1-000000.parquet"


def test_every_resource_is_published_and_accounted_for() -> None:
    content = b"\n".join(patient(number) for number in range(25)) + b"\n\n"
    lab = Lab.holding(content)
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
        batched=0,
        repeated=0,
        quarantined=0,
        withheld=0,
        lake_files=1,
        lake_rows=25,
        lake_bytes=len(lab.s3.objects[LAKE_KEY]),
        published_ids=25,
        completed_at="2026-11-20T10:30:00.000Z",
    )


def test_a_snapshot_run_publishes_snapshots() -> None:
    lab = Lab.holding(patient(1))
    lab.process(lab.ranges(), replace(RUN, snapshot=True))
    assert [entry["DetailType"] for entry in lab.bus.entries] == ["FhirResourceSnapshot"]


def test_without_events_rows_are_counted_and_nothing_is_published() -> None:
    run = replace(RUN, events=False)
    lab = Lab.holding(patient(1) + b"\n" + patient(2))
    (entry,) = lab.process(lab.ranges(), run)
    assert (entry.rows, entry.published, entry.published_ids) == (2, 0, 2)
    assert lab.bus.entries == []
    assert lab.reconcile(lab.ranges(), run).rows == 2


def test_what_the_run_before_published_is_counted_as_repeated_and_not_published() -> None:
    lab = Lab.holding(patient(1) + b"\n" + patient(2) + b"\n", **{"runs/run-0/ids": id_of(patient(1))})
    run = replace(RUN, previous_ids="runs/run-0/ids")
    (entry,) = lab.process(lab.ranges(), run)
    assert lab.published() == ["p2"]
    assert (entry.rows, entry.repeated, entry.published) == (1, 1, 1)
    assert lab.reconcile(lab.ranges(), run).repeated == 1


def test_ids_of_the_overlap_are_kept_sorted_with_those_that_were_repeated() -> None:
    texts = [patient(1), patient(2), patient(3, "2026-11-20T09:00:00.000Z")]
    lab = Lab.holding(b"\n".join(texts), **{"runs/run-0/ids": id_of(texts[0])})
    (entry,) = lab.process(lab.ranges(), replace(RUN, previous_ids="runs/run-0/ids"))
    kept = b"".join(sorted(map(id_of, texts[:2])))
    assert lab.s3.objects["runs/run-1/published-ids/000000.bin"] == kept
    assert entry.published_ids == 2


@pytest.mark.parametrize("events", [True, False])
def test_a_run_that_no_other_follows_on_leaves_no_ids(events: bool) -> None:
    lab = Lab.holding(patient(1) + b"\n" + patient(2) + b"\n")
    lab.process(lab.ranges(), replace(RUN, advances_watermark=False, events=events))
    assert not [key for key in lab.s3.objects if "published-ids" in key]


def test_doing_a_range_again_publishes_the_same_ids_and_leaves_the_same_ledger() -> None:
    lab = Lab.holding(b"\n".join(patient(number) for number in range(12)))
    first = lab.process(lab.ranges())
    assert lab.process(lab.ranges()) == first
    ids = [json.loads(entry["Detail"])["meta"]["eventId"] for entry in lab.bus.entries]
    assert ids[:12] == ids[12:]
    assert len(lab.table.items) == 1


def test_a_run_that_was_superseded_reads_nothing() -> None:
    lab = Lab.holding(patient(1))
    lab.table.owner = "another"
    with pytest.raises(RunSuperseded):
        lab.process(lab.ranges())
    assert lab.s3.reads == []


def test_a_run_that_is_superseded_meanwhile_writes_no_ledger() -> None:
    lab = Lab.holding(patient(1))
    lab.table.refusals = ["ConditionalCheckFailed"]
    with pytest.raises(RunSuperseded):
        lab.process(lab.ranges())
    assert lab.table.items == {}


def test_an_object_that_was_replaced_is_not_read() -> None:
    lab = Lab.holding(patient(1))
    pieces = lab.ranges()
    lab.s3.objects[KEY] = patient(2)
    with pytest.raises(RangeChanged, match=KEY):
        lab.process(pieces)
    assert lab.table.items == {}


def test_an_object_that_is_gone_is_a_changed_range() -> None:
    lab = Lab.holding(patient(1))
    pieces = lab.ranges()
    del lab.s3.objects[KEY]
    with pytest.raises(RangeChanged):
        lab.process(pieces)


def test_the_ledger_is_not_written_before_events_are_accepted() -> None:
    lab = Lab.holding(patient(1))
    lab.bus.refused = {"p1": "InternalFailure"}
    with pytest.raises(EventsNotAccepted):
        lab.process(lab.ranges())
    assert lab.table.items == {}
