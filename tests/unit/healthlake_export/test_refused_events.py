"""What becomes of a resource whose event EventBridge refuses for good."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from healthlake_export.errors import EventsNotAccepted
from healthlake_export.object_bytes import SMALLEST_COPIED_FROM
from local.testing.range_lab import KEY, RUN, Lab, id_of, patient

FOR_GOOD = "MalformedDetail"
IDS = "runs/run-1/published-ids/000000.bin"


def test_a_resource_whose_event_is_refused_for_good_is_quarantined_whole_and_the_others_go_through() -> None:
    lab = Lab.holding(b"".join(patient(number) + b"\r\n" for number in range(25)))
    lab.bus.refused = {"p0": FOR_GOOD, "p12": "InvalidArgument", "p24": "RedactionFailure"}
    (entry,) = lab.process(lab.ranges())
    assert lab.published() == [f"p{number}" for number in range(25) if number not in (0, 12, 24)]
    records = lab.quarantined()
    assert [record["reason"] for record in records] == ["EVENT_REFUSED"] * 3
    assert [record["line"] for record in records] == [patient(number).decode() for number in (0, 12, 24)]
    for record in records:
        source = record["source"]
        assert (source["key"], source["etag"]) == (KEY, lab.exported.etag)
        whole = lab.s3.objects[KEY][source["offset"] : source["offset"] + source["length"]]
        assert whole == record["line"].encode() + b"\r\n"
    assert (entry.lines, entry.rows, entry.published, entry.quarantined) == (25, 22, 22, 3)


def test_a_run_with_refused_events_reconciles() -> None:
    lab = Lab.holding(b"\n".join(patient(number) for number in range(25)) + b"\nbroken")
    lab.bus.refused = {f"p{number}": FOR_GOOD for number in range(0, 25, 4)}
    pieces = lab.ranges(300)
    lab.process(pieces)
    totals = lab.reconcile(pieces)
    assert (totals.lines, totals.rows, totals.published, totals.quarantined) == (26, 18, 18, 8)


def test_the_id_of_a_refused_event_is_not_kept() -> None:
    lab = Lab.holding(patient(1) + b"\n" + patient(2))
    lab.bus.refused = {"p1": FOR_GOOD}
    (entry,) = lab.process(lab.ranges())
    assert lab.s3.objects[IDS] == id_of(patient(2))
    assert entry.published_ids == 1


def test_a_range_whose_events_are_all_refused_leaves_no_ids() -> None:
    """Not even when one stands there twice: reconciliation reads an object where the ledger says ids."""
    lab = Lab.holding(patient(1) + b"\n" + patient(1))
    lab.bus.refused = {"p1": FOR_GOOD}
    (entry,) = lab.process(lab.ranges())
    assert (entry.published_ids, entry.quarantined) == (0, 2)
    assert IDS not in lab.s3.objects


def test_a_large_resource_whose_event_is_refused_is_copied_without_being_read_again() -> None:
    large = patient(1)[:-1] + b',"text":"' + b"x" * SMALLEST_COPIED_FROM + b'"}'
    lab = Lab.holding(large + b"\n" + patient(2))
    lab.bus.refused = {"p1": FOR_GOOD}
    (entry,) = lab.process(lab.ranges(1 << 30))
    (record,) = lab.quarantined()
    assert lab.s3.objects[record["rawKey"]] == large + b"\n"
    assert [extent for _, extent in lab.s3.reads if extent.startswith("bytes=0-")] == ["bytes=0-4194303"]
    assert (entry.rows, entry.quarantined) == (1, 1)


def test_resources_whose_events_carried_them_are_quarantined_without_another_read() -> None:
    lab = Lab.holding(b"\n".join(patient(number) for number in range(25)))
    lab.bus.refused = {f"p{number}": FOR_GOOD for number in range(25)}
    lab.process(lab.ranges())
    assert len(lab.quarantined()) == 25
    assert len(lab.s3.reads) == 1


@pytest.mark.parametrize("batches", [False, True])
def test_a_resource_whose_keys_are_too_large_for_any_event_is_quarantined_and_stops_nobody(
    batches: bool,
) -> None:
    huge = b'{"resourceType":"Patient","id":"' + b"x" * 1_000_000 + b'"}'
    lab = Lab.holding(b"\n".join([patient(1), huge, patient(2)]))
    (entry,) = lab.process(lab.ranges(1 << 30), replace(RUN, batches=batches))
    assert (entry.rows, entry.published, entry.quarantined) == (2, 2, 1)
    assert entry.batched == (2 if batches else 0)
    (record,) = lab.quarantined()
    assert record["reason"] == "EVENT_REFUSED"
    assert sum(len(sent["Detail"]) for sent in lab.bus.entries) < 2_000


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_resource_whose_event_refers_to_it_is_read_again_and_quarantined_whole(ending: bytes) -> None:
    large = patient(1)[:-1] + b',"text":"' + b"x" * 300_000 + b'"}'
    lab = Lab.holding(b"\xef\xbb\xbf" + large + ending)
    lab.bus.refused = {"p1": FOR_GOOD}
    (entry,) = lab.process(lab.ranges())
    (record,) = lab.quarantined()
    assert record["line"] == large.decode()
    assert (record["source"]["offset"], record["source"]["length"]) == (0, len(lab.s3.objects[KEY]))
    assert (entry.rows, entry.quarantined) == (0, 1)


def test_the_first_line_of_a_file_is_quarantined_without_its_byte_order_mark() -> None:
    lab = Lab.holding(b"\xef\xbb\xbf" + patient(1))
    lab.bus.refused = {"p1": FOR_GOOD}
    lab.process(lab.ranges())
    (record,) = lab.quarantined()
    assert record["line"] == patient(1).decode()
    assert record["source"]["length"] == len(lab.s3.objects[KEY])


def test_doing_a_range_with_refused_events_again_leaves_the_same_objects_and_ledger() -> None:
    lab = Lab.holding(b"\n".join(patient(number) for number in range(120)) + b"\nbroken")
    lab.bus.refused = {f"p{number}": FOR_GOOD for number in range(0, 120, 7)}
    first = lab.process(lab.ranges())
    objects = dict(lab.s3.objects)
    assert [(entry.rows, entry.published, entry.quarantined) for entry in first] == [(102, 102, 19)]
    assert lab.process(lab.ranges()) == first
    assert lab.s3.objects == objects


def test_a_replay_quarantines_what_is_refused_too() -> None:
    lab = Lab.holding(patient(1))
    lab.bus.refused = {"p1": FOR_GOOD}
    (entry,) = lab.process(lab.ranges(), replace(RUN, advances_watermark=False))
    assert (entry.rows, entry.quarantined, entry.published_ids) == (0, 1, 0)


@pytest.mark.parametrize("code", ["NotAuthorizedForSourceException", "ThrottlingException", "Something New"])
def test_a_refusal_that_is_not_about_the_resource_fails_the_range_and_quarantines_nothing(code: str) -> None:
    lab = Lab.holding(patient(1) + b"\n" + patient(2))
    lab.bus.refused = {"p1": code}
    with pytest.raises(EventsNotAccepted, match=code):
        lab.process(lab.ranges())
    assert lab.quarantined() == []
    assert lab.table.items == {}


def test_nothing_of_a_refused_resource_shows_in_the_ledger() -> None:
    lab = Lab.holding(patient(4711))
    lab.bus.refused = {"p4711": FOR_GOOD}
    lab.process(lab.ranges())
    assert "p4711" not in json.dumps(list(lab.table.items.values()))
