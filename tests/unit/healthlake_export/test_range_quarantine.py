from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthlake_export import quarantine as quarantine_module
from healthlake_export import range_processing
from healthlake_export.ndjson import RangeLines
from healthlake_export.resource_keys import Rejection
from local.testing.range_lab import KEY, Lab, patient

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


def test_a_line_that_is_not_utf8_is_quarantined_in_base64() -> None:
    line = b'{"resourceType":"Patient","id":"p\xff"}'
    lab = Lab.holding(line + b"\n" + patient(2))
    lab.process(lab.ranges())
    (record,) = lab.quarantined()
    assert record["reason"] == "NOT_UTF8"
    assert base64.b64decode(record["lineBase64"]) == line
    assert lab.published() == ["p2"]


def test_a_large_broken_line_gets_an_object_of_its_own() -> None:
    line = b'{"broken":"' + b"x" * (2 << 20)
    lab = Lab.holding(patient(1) + b"\n" + line + b"\n" + patient(2))
    lab.process(lab.ranges(1 << 30))
    (record,) = lab.quarantined()
    at = len(patient(1)) + 1
    assert record["rawKey"] == f"quarantine/run-1/000000-{at}.raw"
    assert lab.s3.objects[record["rawKey"]] == line
    assert lab.published() == ["p1", "p2"]


def test_a_line_past_the_limit_is_copied_without_being_read_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        range_processing,
        "RangeLines",
        lambda chunks, **extent: RangeLines(chunks, max_line_bytes=200, **extent),
    )
    monkeypatch.setattr("healthlake_export.object_bytes._COPY_PART_BYTES", 100)
    line = b'{"long":"' + b"0123456789" * 35 + b'"}\n'
    lab = Lab.holding(patient(1) + b"\n" + line + patient(2))
    (entry,) = lab.process(lab.ranges())
    (record,) = lab.quarantined()
    assert record["reason"] == "TOO_LONG"
    assert lab.s3.objects[record["rawKey"]] == line
    assert lab.published() == ["p1", "p2"]
    assert lab.reconcile(lab.ranges()).quarantined == entry.quarantined == 1


def test_records_go_into_parts_that_a_retry_overwrites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine_module, "PART_BYTES", 300)
    lab = Lab.holding(b"broken\n" * 10)
    lab.process(lab.ranges())
    objects = dict(lab.s3.objects)
    lab.process(lab.ranges())
    assert lab.s3.objects == objects
    assert "quarantine/run-1/000000-001.ndjson" in objects
    assert len(lab.quarantined()) == 10


@given(
    st.lists(CORRUPT | st.none(), max_size=8),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \n"]),
    st.booleans(),
    st.integers(10, 400),
)
def test_a_corrupt_line_is_quarantined_with_reason_file_and_offset_while_the_others_go_through(
    faults: list[tuple[bytes, Rejection] | None],
    separator: bytes,
    ends_with_newline: bool,
    range_size: int,
) -> None:
    lines = [fault[0] if fault else patient(number) for number, fault in enumerate(faults)]
    content = separator.join(lines) + (separator if ends_with_newline and lines else b"")
    lab = Lab.holding(content)
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
